//! Stories of users: names, ids and access keys are each of one user, and root and accounts in use stay.

use super::commands::*;
use super::stories::{done, leaf, ready, refused};
use crate::meta::{MetaEngine, MetaReads};
use crate::namespace::command::{Op, Refusal};

pub(super) async fn run<E: MetaEngine>(make: &impl Fn() -> E) {
    users_and_keys_are_unique_and_root_stays(&ready(make).await).await;
    a_member_is_renamed_and_stays_who_it_is(&ready(make).await).await;
}

async fn users_and_keys_are_unique_and_root_stays(engine: &impl MetaEngine) {
    done(engine, user("root", "id-root", &["AK1"], true)).await;
    done(engine, user("ana", "owner", &["AK2"], false)).await;
    for taken in [
        user("ana", "id-3", &[], false),
        user("bob", "owner", &[], false),
        user("bob", "id-3", &["AK1"], false),
        user("bob", "id-3", &["AK3", "AK3"], false),
    ] {
        assert_eq!(refused(engine, taken).await.0, Refusal::UserExists);
    }
    let found = engine.reads().user_by_access_key("AK2").unwrap().unwrap();
    assert_eq!((found.0.name.as_str(), found.1.access_key_id.as_str()), ("ana", "AK2"));

    let add = |user: &str, id: &str| Op::AddAccessKey { user: user.to_owned(), key: access_key(id) };
    let take = |user: &str, id: &str| Op::RemoveAccessKey { user: user.to_owned(), access_key_id: id.to_owned() };
    let remove = |name: &str| Op::RemoveUser { name: name.to_owned() };
    assert_eq!(refused(engine, add("ana", "AK1")).await.0, Refusal::UserExists);
    assert_eq!(leaf(engine, &done(engine, add("ana", "AK4")).await).target.access_key.as_deref(), Some("AK4"));
    assert_eq!(engine.reads().user_by_access_key("AK4").unwrap().unwrap().0.access_keys.len(), 2);
    done(engine, take("ana", "AK2")).await;
    assert_eq!(engine.reads().user_by_access_key("AK2").unwrap(), None);
    assert_eq!(refused(engine, take("ana", "AK2")).await.0, Refusal::NoSuchAccessKey);
    assert_eq!(refused(engine, take("root", "AK1")).await.0, Refusal::UserInUse);
    let date = |user: &str, id: &str, disabled, expires_us| Op::SetAccessKey {
        user: user.to_owned(),
        access_key_id: id.to_owned(),
        disabled,
        expires_us,
    };
    assert_eq!(refused(engine, date("root", "AK1", true, None)).await.0, Refusal::UserInUse);
    assert_eq!(refused(engine, date("root", "AK1", false, Some(9))).await.0, Refusal::UserInUse);
    assert_eq!(refused(engine, date("ana", "AK1", true, None)).await.0, Refusal::NoSuchAccessKey);
    assert_eq!(leaf(engine, &done(engine, date("ana", "AK4", true, Some(9))).await).event.name(), "user.change");
    let key = engine.reads().user_by_access_key("AK4").unwrap().unwrap().1;
    assert_eq!((key.disabled, key.expires_us), (true, Some(9)));
    done(engine, set_document("ana", "", "one")).await;
    assert_eq!(refused(engine, set_document("ana", "", "two")).await.0, Refusal::Superseded);
    assert_eq!(refused(engine, set_document("nobody", "", "two")).await.0, Refusal::NoSuchUser);
    assert_eq!(engine.reads().user("ana").unwrap().unwrap().document, b"one");
    // An account with members stays.
    let Op::CreateUser(mut member) = user("member", "id-4", &[], false) else { panic!("it makes a user") };
    member.account = "owner".to_owned();
    done(engine, Op::CreateUser(member)).await;
    assert_eq!(refused(engine, remove("root")).await.0, Refusal::UserInUse);
    // She owns bucket `b`.
    assert_eq!(refused(engine, remove("ana")).await.0, Refusal::UserInUse);
    done(engine, Op::DeleteBucket { name: "b".to_owned() }).await;
    assert_eq!(refused(engine, remove("ana")).await.0, Refusal::UserInUse);
    done(engine, remove("member")).await;
    done(engine, remove("ana")).await;
    assert_eq!(refused(engine, remove("ana")).await.0, Refusal::NoSuchUser);
    assert_eq!(engine.reads().user_by_access_key("AK4").unwrap(), None);
    assert_eq!(engine.reads().users().unwrap().len(), 1);
}

async fn a_member_is_renamed_and_stays_who_it_is(engine: &impl MetaEngine) {
    done(engine, user("root", "id-root", &["AK1"], true)).await;
    done(engine, user("ana", "owner", &["AK2"], false)).await;
    done(engine, member("ben", "id-ben", &["AK3", "AK4"], "owner")).await;
    done(engine, member("eve", "id-eve", &[], "owner")).await;
    done(engine, set_document("ben", "", "one")).await;
    for (refusal, op) in [
        (Refusal::NoSuchUser, rename("nobody", "zoe", "", "")),
        (Refusal::NoSuchUser, rename("ana", "anna", "", "")),
        (Refusal::NoSuchUser, rename("root", "boss", "", "")),
        (Refusal::UserExists, rename("ben", "eve", "one", "two")),
        (Refusal::UserExists, rename("ben", "ana", "one", "two")),
        (Refusal::Superseded, rename("ben", "zoe", "other", "two")),
        (Refusal::TooLarge, rename("ben", "", "one", "two")),
    ] {
        assert_eq!(refused(engine, op).await.0, refusal);
    }
    let before = engine.reads().user("ben").unwrap().unwrap();
    let applied = done(engine, rename("ben", "zoe", "one", "two")).await;
    assert_eq!(leaf(engine, &applied).event.name(), "user.change");
    assert_eq!(engine.reads().user("ben").unwrap(), None);
    let after = engine.reads().user("zoe").unwrap().unwrap();
    assert_eq!((after.name.as_str(), after.document.as_slice()), ("zoe", b"two".as_slice()));
    assert_eq!((&after.id, after.created_us, &after.access_keys), (&before.id, before.created_us, &before.access_keys));
    for key in ["AK3", "AK4"] {
        assert_eq!(engine.reads().user_by_access_key(key).unwrap().unwrap().0, after);
    }
    // To its own name it keeps it; the name that it had is free, and another's who takes it.
    done(engine, rename("zoe", "zoe", "two", "three")).await;
    done(engine, member("ben", "id-new", &["AK5"], "owner")).await;
    assert_eq!(refused(engine, rename("zoe", "ben", "three", "")).await.0, Refusal::UserExists);
    done(engine, Op::RemoveUser { name: "zoe".to_owned() }).await;
    assert_eq!(engine.reads().user_by_access_key("AK3").unwrap(), None);
    assert_eq!(engine.reads().user_by_access_key("AK5").unwrap().unwrap().0.id, "id-new");
}
