//! Settings of buckets that answer a simple truth, and default encryption.

use crate::buckets::{another_user, said};
use crate::support::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bucket_does_not_have_is_said_as_aws_says_it() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/plain", b"").await;
    for (query, status, code) in [
        ("website", 404, "NoSuchWebsiteConfiguration"),
        ("replication", 404, "ReplicationConfigurationNotFoundError"),
        ("cors", 404, "NoSuchCORSConfiguration"),
    ] {
        assert_eq!(said(&client.get(&format!("/plain?{query}")).await), (status, code.into()), "{query}");
        assert_eq!(client.send("DELETE", &format!("/plain?{query}"), &[], b"").await.status, 204, "{query}");
        assert_eq!(said(&client.get(&format!("/none-such?{query}")).await), (404, "NoSuchBucket".into()));
    }
    let pays = client.get("/plain?requestPayment").await;
    assert_eq!((pays.status.as_u16(), pays.element("Payer").unwrap()), (200, "BucketOwner".into()));
    assert!(client.get("/plain?accelerate").await.text().contains("<AccelerateConfiguration xmlns="));
    let payer = |who| format!("<RequestPaymentConfiguration><Payer>{who}</Payer></RequestPaymentConfiguration>");
    assert_eq!(client.put("/plain?requestPayment", payer("BucketOwner").as_bytes()).await.status, 200);
    let requester = client.put("/plain?requestPayment", payer("Requester").as_bytes()).await;
    assert_eq!(said(&requester), (501, "NotImplemented".into()));
    assert_eq!(said(&client.put("/plain?requestPayment", payer("x").as_bytes()).await), (400, "MalformedXML".into()));

    for (query, root) in [("logging", "BucketLoggingStatus"), ("notification", "NotificationConfiguration")] {
        let target = format!("/plain?{query}");
        assert!(client.get(&target).await.text().contains(&format!("<{root} xmlns=")));
        assert_eq!(client.put(&target, format!("<{root}/>").as_bytes()).await.status, 200);
    }

    let stranger = another_user(&server, "stranger").await;
    for query in ["website", "replication", "requestPayment", "accelerate", "cors", "encryption"] {
        let answer = stranger.get(&format!("/plain?{query}")).await;
        assert_eq!(said(&answer), (403, "AccessDenied".into()), "{query}");
    }
    server.stop().await;
}

fn rule(inside: &str) -> String {
    format!(
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
         <SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>{inside}</Rule>\
         </ServerSideEncryptionConfiguration>"
    )
}

const SSE_C: [(&str, &str); 3] = [
    ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    ("x-amz-server-side-encryption-customer-key", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="),
    ("x-amz-server-side-encryption-customer-key-md5", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_opens_and_closes_sse_c() {
    let server = TestServer::start().await;
    let client = server.tls_client();
    client.put("/sealed", b"").await;
    let answer = client.get("/sealed?encryption").await;
    assert_eq!(answer.element("SSEAlgorithm").unwrap(), "AES256");
    assert_eq!(answer.element("EncryptionType").unwrap(), "NONE");
    let key_md5 = crate::cors::md5_of(&"\u{7}".repeat(32));
    let headers = [SSE_C[0], SSE_C[1], (SSE_C[2].0, key_md5.as_str())];
    let put = async |key: &str| client.send("PUT", &format!("/sealed/{key}"), &headers, b"body").await;
    assert_eq!(put("one").await.status, 200);

    let blocked = rule("<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>");
    assert_eq!(client.put("/sealed?encryption", blocked.as_bytes()).await.status, 200);
    assert_eq!(client.get("/sealed?encryption").await.element("EncryptionType").unwrap(), "SSE-C");
    assert_eq!(said(&put("two").await), (403, "AccessDenied".into()));
    let begin = client.send("POST", "/sealed/two?uploads", &headers, b"").await;
    assert_eq!(said(&begin), (403, "AccessDenied".into()));
    // What was written before is still read, and other writes go on.
    assert_eq!(client.send("GET", "/sealed/one", &headers, b"").await.text(), "body");
    assert_eq!(client.put("/sealed/three", b"body").await.headers["x-amz-server-side-encryption"], "AES256");

    assert_eq!(client.send("DELETE", "/sealed?encryption", &[], b"").await.status, 204);
    assert_eq!(put("two").await.status, 200);
    let kms = rule("").replace("AES256", "aws:kms");
    assert_eq!(said(&client.put("/sealed?encryption", kms.as_bytes()).await), (501, "NotImplemented".into()));
    server.stop().await;

    let server = TestServer::start_with(|config| config.sse_c = chartrier::config::SseC::Blocked).await;
    let client = server.tls_client();
    client.put("/sealed", b"").await;
    let put = async |key: &str| client.send("PUT", &format!("/sealed/{key}"), &headers, b"body").await;
    assert_eq!(client.get("/sealed?encryption").await.element("EncryptionType").unwrap(), "SSE-C");
    assert_eq!(said(&put("one").await), (403, "AccessDenied".into()));
    let opened = rule("<BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes>");
    assert_eq!(client.put("/sealed?encryption", opened.as_bytes()).await.status, 200);
    assert_eq!(put("one").await.status, 200);
    server.stop().await;
}
