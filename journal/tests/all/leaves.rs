//! The leaf: one encoding, checked against another JSON reader; everything else is refused.

use std::collections::BTreeMap;

use chartrier_journal::{Actor, ENTRY_LEN_MAX, EventType, JSON_NUMBER_MAX, Json, Leaf, Outcome, TIME_US_MAX, Target};
use proptest::prelude::*;

use crate::log::{ORIGIN, leaf};

#[test]
fn the_encoding_is_the_documented_one() {
    let text = String::from_utf8(leaf(2).encode().unwrap()).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"actor":{"auth":"sigv4","org":"Archives départementales","pid":"5f2c0d7a9be14c33","role":"user"},"#,
            r#""data":{"size":34},"log":"chartrier.example/default/cycle","node":"n1","outcome":"ok","reason":null,"#,
            r#""req":"0000000000000002","seq":2,"target":{"bucket":"00112233445566778899aabbccddeeff","#,
            r#""object":"96a2a0bef374b1e72b6811ab77952c662f86b2c2841f986342427da7b007b575","version":"null"},"#,
            r#""tenant":"default","time":"2026-11-22T04:45:40.125456Z","type":"object.deposit","v":1}"#
        )
    );
}

#[test]
fn the_catalogue_has_the_names_of_the_reference() {
    let names: Vec<&str> = EventType::ALL.iter().map(|event| event.name()).collect();
    assert_eq!(
        names,
        [
            "bucket.create",
            "bucket.delete",
            "bucket.versioning",
            "bucket.lock",
            "object.deposit",
            "object.delete",
            "object.marker",
            "object.modify.refused",
            "delete.refused",
            "metadata.change",
            "retention.set",
            "retention.refused",
            "hold.place",
            "hold.release",
            "user.create",
            "user.remove",
            "user.key.add",
            "user.key.remove",
            "user.change",
            "bucket.config",
            "storage.corruption",
            "storage.repair",
            "storage.scrub",
            "storage.drives",
            "storage.drive-health",
        ]
    );
    assert!(names.iter().all(|name| EventType::from_name(name).unwrap().name() == *name));
    assert_eq!(EventType::from_name("object.read"), None);
}

#[test]
fn a_leaf_fits_in_its_length_field_exactly() {
    let mut long = leaf(2);
    let room = ENTRY_LEN_MAX - long.encode().unwrap().len();
    long.req.push_str(&"x".repeat(room));
    let bytes = long.encode().unwrap();
    assert_eq!(bytes.len(), ENTRY_LEN_MAX);
    assert_eq!(Leaf::parse(&bytes).unwrap(), long);
    long.req.push('x');
    assert!(long.encode().is_err());
    let over = String::from_utf8(bytes).unwrap().replace("\"req\":\"", "\"req\":\"x");
    assert!(Leaf::parse(over.as_bytes()).is_err());
}

#[test]
fn rules_hold_when_writing_and_when_reading() {
    type Change = fn(&mut Leaf);
    let broken: [(&str, Change); 8] = [
        ("refusal with outcome ok", |l| l.event = EventType::DeleteRefused),
        ("change with outcome refused", |l| l.outcome = Outcome::Refused("AccessDenied".to_owned())),
        ("refusal without reason", |l| {
            l.event = EventType::ObjectModifyRefused;
            l.outcome = Outcome::Refused(String::new());
        }),
        ("no origin", |l| l.log.clear()),
        ("origin with a space", |l| l.log.push_str(" x")),
        ("time beyond year 9999", |l| l.time_us = TIME_US_MAX + 1),
        ("seq beyond a double", |l| l.seq = JSON_NUMBER_MAX + 1),
        ("data beyond a double", |l| drop(l.data.insert("n".to_owned(), Json::Number(u64::MAX)))),
    ];
    for (what, change) in broken {
        let mut leaf = leaf(2);
        change(&mut leaf);
        assert!(leaf.encode().is_err(), "{what}");
    }
}

#[test]
fn other_bytes_are_refused() {
    let good = String::from_utf8(leaf(2).encode().unwrap()).unwrap();
    let changed = [
        ("v", good.replace("\"v\":1", "\"v\":2")),
        ("space", good.replace("\"v\":1", "\"v\": 1")),
        ("newline after", format!("{good}\n")),
        ("time without microseconds", good.replace(".125456Z", "Z")),
        ("time zone", good.replace("456Z", "456+00:00")),
        ("unknown type", good.replace("object.deposit", "object.burn")),
        ("unknown outcome", good.replace("\"outcome\":\"ok\"", "\"outcome\":\"maybe\"")),
        ("reason of nothing", good.replace("\"reason\":null", "\"reason\":\"AccessDenied\"")),
        ("missing field", good.replace("\"node\":\"n1\",", "")),
        ("unknown field", good.replace("\"tenant\"", "\"speed\":1,\"tenant\"")),
        ("unknown target", good.replace("\"version\":\"null\"", "\"zone\":\"x\"")),
        ("field of another kind", good.replace("\"seq\":2", "\"seq\":\"2\"")),
        ("data is no object", good.replace("{\"size\":34}", "[]")),
        ("twice the same name", good.replace("\"seq\":2", "\"seq\":2,\"seq\":2")),
        (
            "other order",
            good.replace("\"auth\":\"sigv4\",\"org\":\"Archives départementales\"", "\"org\":null,\"auth\":\"sigv4\""),
        ),
        ("escaped letter", good.replace("default", "\\u0064efault")),
        ("not an object", "[]".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, text) in changed {
        assert_ne!(text, good, "{what}");
        assert!(Leaf::parse(text.as_bytes()).is_err(), "{what}");
    }
    let mut not_utf8 = good.into_bytes();
    not_utf8[10] = 0xff;
    assert!(Leaf::parse(&not_utf8).is_err());
}

#[test]
fn what_the_data_nests_is_bounded_alike_both_ways() {
    let nest = |depth: usize| (0..depth).fold(Json::Null, |inner, _| Json::Array(vec![inner]));
    let with = |depth| Leaf { data: BTreeMap::from([("a".to_owned(), nest(depth))]), ..leaf(2) };
    // The leaf and `data` are two levels of the sixteen.
    assert_eq!(Leaf::parse(&with(14).encode().unwrap()).unwrap(), with(14));
    assert!(with(15).encode().is_err());
}

prop_compose! {
    fn any_leaf()(
        seq in 0..=JSON_NUMBER_MAX, time_us in 0..=TIME_US_MAX, event in prop::sample::select(EventType::ALL),
        texts in prop::array::uniform6(any::<String>()), org: Option<String>, reason in "\\PC{1,20}",
        target in prop::array::uniform5(any::<Option<String>>()), data in prop::collection::btree_map(any::<String>(), 0..JSON_NUMBER_MAX, 0..5),
    ) -> Leaf {
        let [tenant, pid, role, auth, req, node] = texts;
        let [bucket, object, version, user, access_key] = target;
        let data: BTreeMap<String, Json> = data.into_iter().map(|(name, number)| (name, Json::Number(number))).collect();
        let outcome = if event.is_refusal() { Outcome::Refused(reason) } else { Outcome::Ok };
        let target = Target { bucket, object, version, user, access_key };
        Leaf { log: ORIGIN.to_owned(), seq, time_us, event, tenant, actor: Actor { pid, role, org, auth }, req, node, target, outcome, data }
    }
}

proptest! {
    #[test]
    fn every_leaf_comes_back_and_other_readers_can_read_it(leaf in any_leaf()) {
        let bytes = leaf.encode().unwrap();
        prop_assert_eq!(&Leaf::parse(&bytes).unwrap(), &leaf);
        let seen: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(seen["seq"].as_u64(), Some(leaf.seq));
        prop_assert_eq!(seen["req"].as_str(), Some(leaf.req.as_str()));
        prop_assert_eq!(seen["type"].as_str(), Some(leaf.event.name()));
        prop_assert_eq!(seen["target"]["object"].as_str(), leaf.target.object.as_deref());
    }

    #[test]
    fn what_is_read_is_what_would_be_written(leaf in any_leaf(), at: prop::sample::Index, with: u8) {
        let mut bytes = leaf.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = with;
        if let Ok(read) = Leaf::parse(&bytes) {
            prop_assert_eq!(read.encode().unwrap(), bytes);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Leaf::parse(&bytes);
    }
}
