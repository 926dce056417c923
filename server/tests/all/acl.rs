//! ACLs and who owns objects: off by default, as AWS has it since 2023.

use chartrier::access::documents::Ownership;

use crate::buckets::{another_user, said};
use crate::policy::{canonical_id, is, unblock};
use crate::support::{Client, TestServer};

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";

async fn own(client: &Client, bucket: &str, ownership: &str) -> u16 {
    let body =
        format!("<OwnershipControls><Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule></OwnershipControls>");
    client.put(&format!("/{bucket}?ownershipControls"), body.as_bytes()).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn acls_are_off_on_a_new_bucket() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/one", b"").await;
    let id = canonical_id(&client).await;
    let acl = client.get("/one?acl").await.text();
    assert_eq!(acl.matches("<Grant>").count(), 1, "{acl}");
    assert!(acl.contains("xsi:type=\"CanonicalUser\"") && acl.contains(&id) && acl.contains("FULL_CONTROL"), "{acl}");
    let not_supported = is(400, "AccessControlListNotSupported");
    for canned in ["public-read", "private", "bucket-owner-full-control"] {
        assert_eq!(
            said(&client.send("PUT", "/one?acl", &[("x-amz-acl", canned)], b"").await),
            not_supported,
            "{canned}"
        );
    }
    assert_eq!(
        client.get("/one?ownershipControls").await.element("ObjectOwnership").as_deref(),
        Some("BucketOwnerEnforced")
    );
    for canned in ["public-read", "public-read-write", "authenticated-read"] {
        assert_eq!(
            said(&client.send("PUT", "/one/k", &[("x-amz-acl", canned)], b"x").await),
            not_supported,
            "{canned}"
        );
    }
    for canned in ["bucket-owner-full-control", "bucket-owner-read", "private"] {
        assert_eq!(client.send("PUT", "/one/k", &[("x-amz-acl", canned)], b"x").await.status, 200, "{canned}");
    }
    let full = format!("id={id}");
    assert_eq!(client.send("PUT", "/one/k", &[("x-amz-grant-full-control", &full)], b"x").await.status, 200);
    assert_eq!(said(&client.send("PUT", "/one/k", &[("x-amz-grant-read", &full)], b"x").await), not_supported);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_made_with_acls() {
    let server = TestServer::start().await;
    let client = server.client();
    let make = async |name: &str, headers: &[(&str, &str)]| said(&client.send("PUT", name, headers, b"").await);
    let (ownership, acl) = ("x-amz-object-ownership", "x-amz-acl");
    assert_eq!(make("/plain", &[(acl, "private")]).await.0, 200);
    assert_eq!(make("/public", &[(acl, "public-read")]).await, is(400, "InvalidBucketAclWithObjectOwnership"));
    let both = [(acl, "public-read"), (ownership, "ObjectWriter")];
    assert_eq!(make("/public", &both).await, is(400, "InvalidBucketAclWithBlockPublicAccessError"));
    assert_eq!(make("/odd", &[(ownership, "Nobody")]).await, is(400, "InvalidArgument"));
    assert_eq!(make("/odd", &[(acl, "nonsense")]).await, is(400, "InvalidArgument"));
    assert_eq!(make("/preferred", &[(ownership, "BucketOwnerPreferred")]).await.0, 200);
    let answer = client.get("/preferred?ownershipControls").await;
    assert_eq!(answer.element("ObjectOwnership").as_deref(), Some("BucketOwnerPreferred"));
    assert_eq!(said(&client.get("/public?acl").await), is(404, "NoSuchBucket"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_make_buckets_with_acls_and_without_the_block() {
    let server = TestServer::start_with(|config| {
        config.new_buckets.object_ownership = Ownership::ObjectWriter;
        config.new_buckets.block_public_access = false;
    })
    .await;
    let (alice, stranger) = (another_user(&server, "alice").await, server.client().anonymous());
    assert_eq!(alice.send("PUT", "/open", &[("x-amz-acl", "public-read")], b"").await.status, 200);
    assert_eq!(stranger.get("/open").await.status, 200);
    assert_eq!(said(&stranger.put("/open/k", b"x").await), is(403, "AccessDenied"));
    assert_eq!(said(&alice.get("/open?publicAccessBlock").await), is(404, "NoSuchPublicAccessBlockConfiguration"));
    assert_eq!(alice.get("/open?ownershipControls").await.element("ObjectOwnership").as_deref(), Some("ObjectWriter"));
    // Groups come before accounts.
    let acl = alice.get("/open?acl").await.text();
    assert!(acl.find(ALL_USERS).unwrap() < acl.find("FULL_CONTROL").unwrap(), "{acl}");
    // Who asks for less openness than the server gives gets it.
    let enforced = [("x-amz-object-ownership", "BucketOwnerEnforced")];
    assert_eq!(alice.send("PUT", "/strict", &enforced, b"").await.status, 200);
    let strict = alice.get("/strict?ownershipControls").await;
    assert_eq!(strict.element("ObjectOwnership").as_deref(), Some("BucketOwnerEnforced"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ownership_controls_switch_acls() {
    let server = TestServer::start().await;
    let (alice, bob) = (another_user(&server, "alice").await, another_user(&server, "bob").await);
    alice.put("/one", b"").await;
    assert_eq!(own(&alice, "one", "Everybody").await, 400);
    assert_eq!(own(&alice, "one", "ObjectWriter").await, 200);
    let bob_id = canonical_id(&bob).await;
    let grant = [("x-amz-grant-read", format!("id=\"{bob_id}\"")), ("x-amz-grant-write", format!("id={bob_id}"))];
    let grant: Vec<(&str, &str)> = grant.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(said(&bob.get("/one").await), is(403, "AccessDenied"));
    assert_eq!(alice.send("PUT", "/one?acl", &grant, b"").await.status, 200);
    assert_eq!(bob.get("/one").await.status, 200);
    assert_eq!(bob.put("/one/of-bob", b"x").await.status, 200);
    assert_eq!(said(&bob.get("/one?acl").await), is(403, "AccessDenied"));
    // With a grant to another, ACLs cannot be switched off.
    assert_eq!(own(&alice, "one", "BucketOwnerEnforced").await, 400);
    assert_eq!(alice.send("PUT", "/one?acl", &[("x-amz-acl", "private")], b"").await.status, 200);
    assert_eq!(said(&bob.get("/one").await), is(403, "AccessDenied"));
    assert_eq!(own(&alice, "one", "BucketOwnerEnforced").await, 200);
    assert_eq!(alice.send("DELETE", "/one?ownershipControls", &[], b"").await.status, 204);
    assert_eq!(said(&alice.get("/one?ownershipControls").await), is(404, "OwnershipControlsNotFoundError"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_gave_up_its_grant_writes_no_more_until_it_takes_it_back() {
    let server = TestServer::start().await;
    let alice = another_user(&server, "alice").await;
    alice.put("/one", b"").await;
    own(&alice, "one", "ObjectWriter").await;
    assert_eq!(alice.put("/one/k", b"x").await.status, 200);
    let id = canonical_id(&alice).await;
    let nobody = format!("<AccessControlPolicy><Owner><ID>{id}</ID></Owner><AccessControlList/></AccessControlPolicy>");
    assert_eq!(alice.put("/one?acl", nobody.as_bytes()).await.status, 200);
    for (method, target) in [("PUT", "/one/new"), ("POST", "/one/new?uploads")] {
        assert_eq!(said(&alice.send(method, target, &[], b"").await), is(403, "AccessDenied"), "{method}");
    }
    let copy = [("x-amz-copy-source", "/one/k")];
    assert_eq!(said(&alice.send("PUT", "/one/copy", &copy, b"").await), is(403, "AccessDenied"));
    // It reads, removes, and gives itself back what it took.
    assert_eq!(alice.get("/one").await.status, 200);
    assert_eq!(alice.get("/one/k").await.text(), "x");
    assert_eq!(alice.send("DELETE", "/one/k", &[], b"").await.status, 204);
    assert!(!alice.get("/one?acl").await.text().contains("<Grant>"));
    // A policy grants as well as an ACL does; and where ACLs are off, none counts.
    let allow = format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":{{\"CanonicalUser\":\"{id}\"}},\
         \"Action\":\"s3:PutObject\",\"Resource\":\"arn:aws:s3:::one/*\"}}]}}"
    );
    assert_eq!(alice.put("/one?policy", allow.as_bytes()).await.status, 204);
    assert_eq!(alice.put("/one/new", b"x").await.status, 200);
    assert_eq!(alice.send("DELETE", "/one?policy", &[], b"").await.status, 204);
    assert_eq!(said(&alice.put("/one/new", b"x").await), is(403, "AccessDenied"));
    assert_eq!(own(&alice, "one", "BucketOwnerEnforced").await, 200);
    assert_eq!(alice.put("/one/new", b"x").await.status, 200);
    own(&alice, "one", "ObjectWriter").await;
    assert_eq!(said(&alice.put("/one/new", b"x").await), is(403, "AccessDenied"));
    assert_eq!(alice.send("PUT", "/one?acl", &[("x-amz-acl", "private")], b"").await.status, 200);
    assert_eq!(alice.put("/one/new", b"x").await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_bucket_acl_counts_once_the_block_is_off() {
    let server = TestServer::start().await;
    let (alice, stranger) = (another_user(&server, "alice").await, server.client().anonymous());
    alice.put("/one", b"").await;
    own(&alice, "one", "ObjectWriter").await;
    let public = [("x-amz-acl", "public-read-write")];
    assert_eq!(said(&alice.send("PUT", "/one?acl", &public, b"").await), is(403, "AccessDenied"));
    unblock(&alice, "one").await;
    assert_eq!(alice.send("PUT", "/one?acl", &public, b"").await.status, 200);
    let acl = alice.get("/one?acl").await.text();
    assert_eq!(acl.matches(ALL_USERS).count(), 2, "{acl}");
    assert_eq!(stranger.get("/one").await.status, 200);
    assert_eq!(stranger.put("/one/k", b"x").await.status, 200);
    assert_eq!(said(&stranger.get("/one/none").await), is(404, "NoSuchKey"));
    let ignore =
        b"<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>";
    assert_eq!(alice.put("/one?publicAccessBlock", ignore).await.status, 200);
    assert_eq!(said(&stranger.get("/one").await), is(403, "AccessDenied"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acls_as_xml() {
    let server = TestServer::start().await;
    let (alice, bob) = (another_user(&server, "alice").await, another_user(&server, "bob").await);
    alice.put("/one", b"").await;
    own(&alice, "one", "BucketOwnerPreferred").await;
    let (a, b) = (canonical_id(&alice).await, canonical_id(&bob).await);
    let policy = |owner: &str, grants: &str| {
        format!(
            "<AccessControlPolicy xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Owner><ID>{owner}</ID></Owner>\
             <AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
        )
    };
    let grant = |id: &str, permission: &str| {
        format!(
            "<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>{id}</ID>\
             </Grantee><Permission>{permission}</Permission></Grant>"
        )
    };
    let put = async |body: String| said(&alice.put("/one?acl", body.as_bytes()).await);
    assert_eq!(put(policy(&a, &(grant(&a, "FULL_CONTROL") + &grant(&b, "READ_ACP")))).await.0, 200);
    let text = bob.get("/one?acl").await.text();
    assert!(text.contains(&b) && text.contains("READ_ACP"), "{text}");
    assert_eq!(put(policy(&b, &grant(&a, "FULL_CONTROL"))).await, is(403, "AccessDenied"));
    assert_eq!(put(policy(&a, &grant("nobody", "READ"))).await, is(400, "InvalidArgument"));
    assert_eq!(put(policy(&a, &grant(&a, "FLY"))).await, is(400, "MalformedACLError"));
    assert_eq!(put(String::new()).await, is(400, "MissingSecurityHeader"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn object_acls_and_owners() {
    let server = TestServer::start().await;
    let (alice, bob) = (another_user(&server, "alice").await, another_user(&server, "bob").await);
    let stranger = server.client().anonymous();
    alice.put("/one", b"").await;
    own(&alice, "one", "BucketOwnerPreferred").await;
    unblock(&alice, "one").await;
    let (a, b) = (canonical_id(&alice).await, canonical_id(&bob).await);
    alice.send("PUT", "/one?acl", &[("x-amz-acl", "public-read-write")], b"").await;

    // What another account writes is its own: the bucket's owner is refused until it is given.
    assert_eq!(bob.put("/one/of-bob", b"B").await.status, 200);
    assert_eq!(said(&alice.get("/one/of-bob").await), is(403, "AccessDenied"));
    assert_eq!(bob.get("/one/of-bob").await.body, b"B");
    let listed = alice.get("/one").await.text();
    assert!(listed.contains(&b), "{listed}");
    assert_eq!(bob.send("PUT", "/one/of-bob?acl", &[("x-amz-acl", "bucket-owner-read")], b"").await.status, 200);
    assert_eq!(alice.get("/one/of-bob").await.body, b"B");
    let acl = bob.get("/one/of-bob?acl").await.text();
    assert!(acl.contains(&a) && acl.contains("<Permission>READ</Permission>"), "{acl}");
    assert_eq!(said(&alice.get("/one/of-bob?acl").await), is(403, "AccessDenied"));
    // Given with the write, it is the bucket owner's.
    let given = [("x-amz-acl", "bucket-owner-full-control")];
    assert_eq!(bob.send("PUT", "/one/given", &given, b"G").await.status, 200);
    let acl = alice.get("/one/given?acl").await.text();
    assert!(acl.contains(&a) && !acl.contains(&b), "{acl}");

    // Public by its own ACL, on a single PUT, a multipart upload and a copy.
    let public = [("x-amz-acl", "public-read")];
    assert_eq!(alice.send("PUT", "/one/open", &public, b"O").await.status, 200);
    let upload = alice.send("POST", "/one/parts?uploads", &public, b"").await.element("UploadId").unwrap();
    let part = alice.put(&format!("/one/parts?partNumber=1&uploadId={upload}"), b"P").await;
    let etag = part.headers["etag"].to_str().unwrap();
    let complete = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let target = format!("/one/parts?uploadId={upload}");
    assert_eq!(alice.send("POST", &target, &[], complete.as_bytes()).await.status, 200);
    let copied = [("x-amz-acl", "public-read"), ("x-amz-copy-source", "one/open")];
    assert_eq!(alice.send("PUT", "/one/copy", &copied, b"").await.status, 200);
    alice.put("/one/shut", b"S").await;
    for (key, body) in [("open", b"O"), ("parts", b"P"), ("copy", b"O")] {
        assert_eq!(stranger.get(&format!("/one/{key}")).await.body, body, "{key}");
        assert_eq!(stranger.send("HEAD", &format!("/one/{key}"), &[], b"").await.status, 200, "{key}");
    }
    assert_eq!(said(&stranger.get("/one/shut").await), is(403, "AccessDenied"));
    assert_eq!(said(&stranger.get("/one/none").await), is(404, "NoSuchKey"));
    assert_eq!(alice.send("PUT", "/one/open?acl", &[("x-amz-acl", "private")], b"").await.status, 200);
    assert_eq!(said(&stranger.get("/one/open").await), is(403, "AccessDenied"));
    // A copy carries no ACL of its source.
    assert_eq!(alice.send("PUT", "/one/again", &[("x-amz-copy-source", "one/parts")], b"").await.status, 200);
    assert_eq!(said(&stranger.get("/one/again").await), is(403, "AccessDenied"));

    // ACLs off: the bucket's owner owns everything, and grants of old do not count.
    alice.send("PUT", "/one?acl", &[("x-amz-acl", "private")], b"").await;
    assert_eq!(own(&alice, "one", "BucketOwnerEnforced").await, 200);
    assert_eq!(said(&stranger.get("/one/parts").await), is(403, "AccessDenied"));
    assert_eq!(alice.get("/one/of-bob").await.body, b"B");
    assert_eq!(said(&bob.get("/one/of-bob").await), is(403, "AccessDenied"));
    assert!(!alice.get("/one").await.text().contains(&b));
    let not_supported = is(400, "AccessControlListNotSupported");
    assert_eq!(said(&alice.send("PUT", "/one/open?acl", &public, b"").await), not_supported);
    server.stop().await;
}
