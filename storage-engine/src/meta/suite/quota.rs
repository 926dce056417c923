//! What accounts hold and may hold, over all their buckets.

use super::commands::*;
use super::stories::{done, leaf, ready, refused};
use crate::meta::{MetaEngine, MetaReads as _};
use crate::namespace::command::{Op, Refusal, WriteCondition};
use crate::namespace::query::AccountUsage;
use crate::namespace::rows::AccountQuota;

pub(super) async fn run<E: MetaEngine>(make: &impl Fn() -> E) {
    what_an_account_holds_is_counted_over_its_buckets(&ready(make).await).await;
    an_account_takes_no_more_than_its_quota(&ready(make).await).await;
}

fn set(user: &str, max_bytes: Option<u64>, max_versions: Option<u64>) -> Op {
    Op::SetAccountQuota { user: user.to_owned(), quota: AccountQuota { max_bytes, max_versions } }
}

fn write(bucket: u8, key: &str, run: u32) -> Op {
    put(bucket, key, version("e", vec![part(0, run)]), WriteCondition::None)
}

fn held(engine: &impl MetaEngine) -> (u64, u64) {
    let AccountUsage { versions, bytes, .. } = engine.reads().account_usage("owner").unwrap();
    (versions, bytes)
}

async fn what_an_account_holds_is_counted_over_its_buckets(engine: &impl MetaEngine) {
    done(engine, create_bucket(2, "second")).await;
    assert_eq!(held(engine), (0, 0));
    done(engine, write(1, "a", 1)).await;
    done(engine, write(2, "a", 2)).await;
    assert_eq!(held(engine), (2, 200));
    done(engine, write(2, "a", 3)).await;
    assert_eq!(held(engine), (2, 200));
    // Parts count once the upload is complete, those that are left out never.
    done(engine, create_upload(2, "m", 1)).await;
    done(engine, put_part(2, "m", 1, part(1, 4))).await;
    done(engine, put_part(2, "m", 1, part(2, 5))).await;
    assert_eq!(held(engine), (2, 200));
    done(engine, complete(2, "m", 1, vec![part(1, 4)], WriteCondition::None)).await;
    assert_eq!(held(engine).0, 3);
    done(engine, create_upload(1, "n", 2)).await;
    done(engine, put_part(1, "n", 2, part(1, 6))).await;
    done(engine, abort(1, "n", 2)).await;
    for (bucket, key) in [(1, "a"), (2, "a"), (2, "m")] {
        done(engine, delete(bucket, key, WriteCondition::None)).await;
    }
    assert_eq!(held(engine), (0, 0));
    assert_eq!(engine.reads().account_usage("nobody").unwrap(), AccountUsage::default());
}

async fn an_account_takes_no_more_than_its_quota(engine: &impl MetaEngine) {
    done(engine, user("ana", "owner", &["AK1"], false)).await;
    done(engine, create_bucket(2, "second")).await;
    assert_eq!(leaf(engine, &done(engine, set("ana", Some(250), None)).await).event.name(), "user.change");
    done(engine, write(1, "a", 1)).await;
    done(engine, write(2, "b", 2)).await;
    let (refusal, applied) = refused(engine, write(1, "c", 3)).await;
    assert_eq!((refusal, applied.freed), (Refusal::QuotaExceeded, vec![run_of(3)]));
    // What takes no more than it replaces, and what only removes, is never over.
    done(engine, set("ana", Some(150), Some(2))).await;
    done(engine, write(1, "a", 4)).await;
    assert_eq!(refused(engine, write(1, "c", 5)).await.0, Refusal::QuotaExceeded);
    done(engine, delete(1, "a", WriteCondition::None)).await;
    done(engine, set("ana", None, Some(2))).await;
    done(engine, write(1, "a", 6)).await;
    assert_eq!(refused(engine, write(1, "c", 7)).await.0, Refusal::QuotaExceeded);
    done(engine, set("ana", None, None)).await;
    done(engine, write(1, "c", 8)).await;
    assert_eq!(held(engine), (3, 300));
    assert_eq!(refused(engine, set("nobody", None, None)).await.0, Refusal::NoSuchUser);
    assert_eq!(refused(engine, set("ana", Some(u64::MAX), None)).await.0, Refusal::TooLarge);
    let Op::CreateUser(mut member) = user("member", "id-4", &[], false) else { panic!("it makes a user") };
    member.account = "owner".to_owned();
    done(engine, Op::CreateUser(member)).await;
    assert_eq!(refused(engine, set("member", Some(1), None)).await.0, Refusal::NoSuchUser);
}
