//! No parser of the edge panics, whatever the bytes; CI has no fuzzer, so proptest stands in.

use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;

use super::request::{Query, SseHeaders};
use super::router::Target;
use super::xml::Element;

/// Bytes that are likely to come near what a parser looks for.
fn near(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn xml(bytes in near(&["<A>", "</A>", "<B x='1'>", "<B/>", "&lt;", "&#x41;", "&#0;", "<![CDATA[", "]]>", "<!--", "-->", "<?xml version='1.0'?>", "<!DOCTYPE A", "x", " "])) {
        let _ = Element::parse(&bytes, "A");
    }

    #[test]
    fn query_and_target(text in "[a-zA-Z0-9%&=+/.~-]{0,64}", host in "[a-z0-9.:-]{0,32}") {
        let _ = Query::parse(&text);
        if let Ok(target) = format!("/{text}").parse() {
            let _ = Target::parse(&target, Some(&host), &["localhost".to_owned()]);
        }
    }

    #[test]
    fn sse_headers(value in prop::collection::vec(0x20u8..0x7f, 0..64)) {
        let mut headers = HeaderMap::new();
        for name in ["algorithm", "key", "key-md5"] {
            let name = format!("x-amz-server-side-encryption-customer-{name}");
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.insert(name, http::HeaderValue::from_bytes(&value).unwrap());
        }
        let _ = SseHeaders::take_from(&mut headers);
        prop_assert!(headers.is_empty());
    }

    #[test]
    fn aws_chunked(bytes in near(&["0\r\n", "5\r\nhello\r\n", "2000\r\n", "5;chunk-signature=", "\r\n", "x-amz-checksum-crc32:AAAAAA==\r\n", "x-amz-trailer-signature:0\r\n", "ffffffffffffffff\r\n"]), cut in 1usize..9) {
        for signed in [false, true] {
            let mut decoder = crate::auth::test_decoder(signed, 5);
            let mut ok = true;
            for piece in bytes.chunks(cut) {
                let mut input = Bytes::copy_from_slice(piece);
                while ok && !input.is_empty() {
                    ok = decoder.decode(&mut input).is_ok();
                }
            }
            let _ = decoder.finish();
        }
    }
}
