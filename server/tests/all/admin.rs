//! Administration over the admin port: users and keys, the journal's export and proofs, object exports.

use chartrier::admin::client::{AdminClient, Clear, ClientError};
use chartrier::admin::export_journal::export_journal;
use chartrier::admin::run_file::{AdminToken, RunFile};
use chartrier::admin::wire;
use chartrier_journal::{FolderReader, Verifier, verify_export, verify_proof};

use crate::buckets::said;
use crate::support::TestServer;

fn admin(server: &TestServer) -> AdminClient {
    let run = RunFile::read(server.data.path()).unwrap();
    AdminClient::new(&run.endpoint, run.token, Clear::Loopback).unwrap_or_else(|error| panic!("{error}"))
}

fn refused<T>(result: Result<T, ClientError>) -> (u16, String) {
    match result {
        Err(ClientError::Refused { status, code, .. }) => (status.as_u16(), code),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("not refused"),
    }
}

async fn add(client: &AdminClient, name: &str) -> Result<wire::CreatedUser, ClientError> {
    let asked = wire::NewUser { name: name.into(), display_name: Some("A. Name".into()), email: Some("a@b.fr".into()) };
    client.post("/users", &asked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_keys() {
    let server = TestServer::start().await;
    let client = admin(&server);
    let user = add(&client, "alice").await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((user.name.as_str(), user.display_name.as_str(), user.email.as_str()), ("alice", "A. Name", "a@b.fr"));
    assert_eq!((user.user_id.len(), user.secret_access_key.len()), (64, 40));
    assert_eq!(refused(add(&client, "alice").await), (409, "UserExists".into()));
    assert_eq!(refused(add(&client, "a b").await), (400, "InvalidArgument".into()));

    let s3 = server.client().acting_as(&user.access_key_id, &user.secret_access_key);
    let answer = s3.get("/").await;
    assert_eq!(answer.element("ID").unwrap(), user.user_id);
    assert_eq!(answer.element("DisplayName").unwrap(), "A. Name");

    let key: wire::CreatedKey = client.post("/users/alice/keys", &()).await.unwrap_or_else(|error| panic!("{error}"));
    let with_key = server.client().acting_as(&key.access_key_id, &key.secret_access_key);
    assert_eq!(with_key.get("/").await.status, 200);
    let path = format!("/users/alice/keys/{}", key.access_key_id);
    client.delete::<wire::Removed>(&path).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(said(&with_key.get("/").await), (403, "InvalidAccessKeyId".into()));
    assert_eq!(refused(client.delete::<wire::Removed>(&path).await), (404, "NoSuchAccessKey".into()));

    let listed: wire::Users = client.get("/users").await.unwrap_or_else(|error| panic!("{error}"));
    let alice = listed.users.iter().find(|user| user.name == "alice").unwrap();
    assert_eq!((alice.access_key_ids.len(), alice.root), (1, false));
    let root = listed.users.iter().find(|user| user.root).unwrap();

    assert_eq!(s3.put("/of-alice", b"").await.status, 200);
    assert_eq!(refused(client.delete::<wire::Removed>("/users/alice").await), (409, "UserInUse".into()));
    assert_eq!(s3.send("DELETE", "/of-alice", &[], b"").await.status, 204);
    client.delete::<wire::Removed>("/users/alice").await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(said(&s3.get("/").await), (403, "InvalidAccessKeyId".into()));
    assert_eq!(refused(client.delete::<wire::Removed>("/users/alice").await), (404, "NoSuchUser".into()));
    let of_root = format!("/users/{}", root.name);
    assert_eq!(refused(client.delete::<wire::Removed>(&of_root).await), (409, "UserInUse".into()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_token_opens_the_api() {
    let server = TestServer::start().await;
    let run = RunFile::read(server.data.path()).unwrap();
    let stranger = AdminClient::new(&run.endpoint, AdminToken::from_random([1; 32]), Clear::Loopback);
    let stranger = stranger.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(refused(stranger.get::<wire::Users>("/users").await).0, 401);
    assert_eq!(refused(admin(&server).get::<wire::Users>("/nothing").await), (404, "NoSuchPath".into()));
    let data = server.stop().await;
    assert!(RunFile::read(data.path()).is_err(), "the file goes with the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journals_export_and_proofs_verify() {
    let server = TestServer::start().await;
    let (client, s3) = (admin(&server), server.client());
    assert_eq!(s3.put("/records", b"").await.status, 200);
    for n in 0..300 {
        assert_eq!(s3.put(&format!("/records/act-{n}"), b"content").await.status, 200);
    }
    let folder = server.data.path().join("export");
    let done = export_journal(&client, "cycle", &folder).await.unwrap_or_else(|error| panic!("{error}"));
    // One leaf each for the root user, the bucket and the 300 objects.
    assert!(done.leaves >= 302, "{}", done.leaves);
    let vkey = std::fs::read_to_string(folder.join("vkey")).unwrap();
    let verifier = Verifier::from_vkey(vkey.trim_end()).unwrap();
    let verified = verify_export(&FolderReader::new(&folder), Some(&verifier)).unwrap();
    assert_eq!(verified.checkpoint.size(), done.leaves);
    assert!(export_journal(&client, "cycle", &folder).await.is_err(), "a folder that is not empty is left alone");

    let path = "/journal/cycle/proof?bucket=records&key=act-7";
    let proof: wire::Proof = client.get(path).await.unwrap_or_else(|error| panic!("{error}"));
    verify_proof(&proof.proof, Some(proof.entry.as_bytes()), &verifier).unwrap();
    assert!(proof.entry.contains("\"object.deposit\""));
    let mut tampered = proof.entry.clone().into_bytes();
    tampered[10] ^= 1;
    assert!(verify_proof(&proof.proof, Some(&tampered), &verifier).is_err());
    for (query, code) in [
        ("bucket=records&key=none", "NoSuchKey"),
        ("bucket=none&key=act-7", "NoSuchBucket"),
        ("bucket=records&key=act-7&version-id=0000000000000000000000000000000a", "NoSuchVersion"),
        ("bucket=records", "InvalidArgument"),
    ] {
        let answer = client.get::<wire::Proof>(&format!("/journal/cycle/proof?{query}")).await;
        assert_eq!(refused(answer).1, code, "{query}");
    }
    let tile = client.get_bytes("/journal/cycle/tile/0/000").await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(tile.as_ref(), std::fs::read(folder.join("tile/0/000")).unwrap());
    for bad in ["tile/0/999", "tile/9/000", "tile/entries/..", "tile/0/000.p/0"] {
        assert_eq!(refused(client.get_bytes(&format!("/journal/cycle/{bad}")).await).0, 404, "{bad}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_object_opens_without_a_server() {
    let server = TestServer::start().await;
    let (client, s3) = (admin(&server), server.client());
    assert_eq!(s3.put("/records", b"").await.status, 200);
    let content: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    assert_eq!(s3.put("/records/a%20act", &content).await.status, 200);
    let out = server.data.path().join("act.sov1");
    let path = "/objects/export?bucket=records&key=a%20act";
    let bytes = client.download(path, &out).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(bytes, std::fs::metadata(&out).unwrap().len());
    let exported = std::fs::read(&out).unwrap();
    assert!(!exported.windows(64).any(|window| window == &content[..64]), "sealed bytes only");

    let operator = std::fs::read(server.data.path().join("keys/operator.key")).unwrap();
    let mut plain = Vec::new();
    chartrier_crypto::unseal::unseal(exported.as_slice(), &operator, &mut plain).unwrap();
    assert!(plain == content);
    let missing = server.data.path().join("none");
    assert_eq!(refused(client.download("/objects/export?bucket=records&key=none", &missing).await).1, "NoSuchKey");
    assert!(!missing.exists());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drives_and_status() {
    let server = TestServer::start().await;
    let client = admin(&server);
    let drives: wire::Drives = client.get("/drives").await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(drives.drives.len(), 6);
    assert!(drives.drives.iter().all(|drive| drive.state == "online"
        && drive.id.len() == 32
        && drive.free_bytes.is_some_and(|bytes| bytes > 0)));
    let status: serde_json::Value = client.get("/status").await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(status["state"], "ready");
    assert_eq!(status["erasure"], "4+2");
    server.stop().await;
}

async fn scrub(client: &AdminClient, asked: &wire::NewScrub) -> wire::ScrubReport {
    let begun: wire::ScrubBegun = client.post("/scrub", asked).await.unwrap_or_else(|error| panic!("{error}"));
    for _ in 0..600 {
        let state: wire::ScrubState = client.get("/scrub").await.unwrap_or_else(|error| panic!("{error}"));
        if let Some(report) = state.last.filter(|report| report.id == begun.id) {
            return report;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the scrub did not end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrub_of_everything_of_a_drive_and_of_an_object() {
    let server = TestServer::start().await;
    let client = admin(&server);
    let s3 = server.client();
    assert_eq!(s3.put("/records", b"").await.status, 200);
    assert_eq!(s3.put("/records/act", &vec![7; 3 << 20]).await.status, 200);

    let all = scrub(&client, &wire::NewScrub::default()).await;
    assert!(all.found.is_empty() && all.unrepaired == 0 && all.ended.is_some(), "{all:?}");
    assert!(all.checked["records"] > 0 && all.checked["stripes"] > 0 && all.checked["superblocks"] == 12);
    let status: wire::Status = client.get("/status").await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(status.scrub.drives.len(), 6);
    assert_eq!(status.scrub.stripes_by_redundancy[3], all.checked["stripes"], "each can lose two");
    let drive = Some(status.drives[0].id.clone());
    let one = scrub(&client, &wire::NewScrub { drive, ..wire::NewScrub::default() }).await;
    assert_eq!((one.scope.as_str(), one.checked["superblocks"]), ("drive", 2));
    let (bucket, key) = (Some("records".to_owned()), Some("act".to_owned()));
    let object = scrub(&client, &wire::NewScrub { bucket, key, drive: None }).await;
    assert_eq!((object.scope.as_str(), object.checked["stripes"]), ("object", all.checked["stripes"]));

    let ask = async |asked| refused(client.post::<_, wire::ScrubBegun>("/scrub", &asked).await);
    let none = wire::NewScrub::default();
    assert_eq!(ask(wire::NewScrub { drive: Some("x".into()), ..none.clone() }).await, (404, "NoSuchDrive".into()));
    assert_eq!(ask(wire::NewScrub { bucket: Some("none".into()), ..none.clone() }).await, (404, "NoSuchBucket".into()));
    assert_eq!(ask(wire::NewScrub { key: Some("k".into()), ..none }).await, (400, "InvalidArgument".into()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_space_of_deleted_objects_comes_back_when_asked() {
    let server = TestServer::start().await;
    let (client, s3) = (admin(&server), server.client());
    assert_eq!(s3.put("/space", b"").await.status, 200);
    let body = |n: usize| vec![n as u8; 60_000 + n * 1000];
    for n in 0..40 {
        assert_eq!(s3.put(&format!("/space/k{n}"), &body(n)).await.status, 200);
    }
    for n in 0..36 {
        assert_eq!(s3.send("DELETE", &format!("/space/k{n}"), &[], b"").await.status, 204);
    }
    let before: wire::Status = client.get("/status").await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((before.reclaim.waiting_runs, before.reclaim.reclaimed_bytes), (36, 0));
    let done: wire::Reclaimed =
        client.post("/reclaim", &serde_json::json!({})).await.unwrap_or_else(|error| panic!("{error}"));
    // The four that stay are packed first: their copies go as well.
    assert_eq!((done.runs_freed, done.orphans, done.damaged, done.drives_failed), (40, 0, 0, 0));
    assert!(done.reclaimed_bytes > 0 && done.segments_removed > 0, "{done:?}");
    let after: wire::Status = client.get("/status").await.unwrap_or_else(|error| panic!("{error}"));
    assert!(after.reclaim.live_bytes < before.reclaim.live_bytes / 5, "{:?}", after.reclaim);
    assert_eq!((after.reclaim.dead_bytes, after.reclaim.waiting_runs), (0, 0));
    for n in 36..40 {
        assert!(s3.get(&format!("/space/k{n}")).await.body == body(n));
    }
    assert_eq!(said(&s3.get("/space/k0").await), (404, "NoSuchKey".into()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_in_progress_are_listed_and_aborted_by_command_only() {
    let server = TestServer::start().await;
    let (client, s3) = (admin(&server), server.client());
    assert_eq!(s3.put("/stale", b"").await.status, 200);
    let id = s3.send("POST", "/stale/a%20key?uploads", &[], b"").await.element("UploadId").unwrap();
    let part = format!("/stale/a%20key?partNumber=3&uploadId={id}");
    assert_eq!(s3.put(&part, &[7; 70_000]).await.status, 200);
    let list = |query: &'static str| client.get::<wire::Uploads>(query);
    let all = list("/uploads").await.unwrap_or_else(|error| panic!("{error}"));
    let [upload] = &all.uploads[..] else { panic!("{all:?}") };
    assert_eq!((upload.bucket.as_str(), upload.key.as_str(), upload.parts), ("stale", "a key", 1));
    assert!(upload.upload_id == id && upload.bytes > 70_000 && upload.age_s < 600 && !all.more, "{upload:?}");
    assert!(list("/uploads?older-than-s=3600").await.unwrap_or_else(|error| panic!("{error}")).uploads.is_empty());
    assert_eq!(refused(list("/uploads?older-than-s=x").await), (400, "InvalidArgument".into()));
    let path = format!("/uploads?bucket=stale&key=a%20key&upload-id={id}");
    client.delete::<wire::Aborted>(&path).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(refused(client.delete::<wire::Aborted>(&path).await), (404, "NoSuchUpload".into()));
    assert_eq!(said(&s3.put(&part, b"x").await), (404, "NoSuchUpload".into()));
    server.stop().await;
}
