//! Stories of drives and layouts: each table and each layout follows the one before.

use super::commands::*;
use super::stories::{done, leaf, ready, refused};
use crate::ids::DriveId;
use crate::meta::{MetaEngine, MetaReads};
use crate::namespace::command::{Layout, MissingShard, Op, Refusal, WriteCondition};
use crate::namespace::drives::{DriveRole, Then};

pub(super) async fn run<E: MetaEngine>(make: &impl Fn() -> E) {
    drives_come_and_go(&make()).await;
    layouts_follow_one_another(&ready(make).await).await;
}

async fn drives_come_and_go(engine: &impl MetaEngine) {
    let set = |table, layout| Op::SetDrives { table, layout };
    let leaving = DriveRole::Leaving(Then::Retire);
    // Nobody has a place before the first layout.
    assert_eq!(refused(engine, set(drives(1, 2, &[]), None)).await.0, Refusal::DrivesRefused);
    // The first table makes the installation, before its journal has a name.
    assert_eq!(done(engine, set(drives(1, 2, &[]), Some(layout(1, 2)))).await.leaf_index, None);
    done(engine, journal()).await;
    // A drive with places stays active; a layout names no other.
    assert_eq!(refused(engine, set(drives(2, 3, &[(2, leaving)]), None)).await.0, Refusal::DrivesRefused);
    assert_eq!(refused(engine, set(drives(2, 3, &[(2, leaving)]), Some(layout(3, 3)))).await.0, Refusal::LayoutRefused);
    assert_eq!(refused(engine, set(drives(2, 3, &[]), Some(layout(2, 3)))).await.0, Refusal::DrivesRefused);
    assert_eq!(
        refused(engine, set(drives(2, 3, &[(2, DriveRole::Retired)]), Some(layout(2, 3)))).await.0,
        Refusal::DrivesRefused
    );
    done(engine, set(drives(2, 3, &[(2, leaving)]), Some(layout(2, 3)))).await;
    // No way back while it leaves, nor from retirement.
    assert_eq!(refused(engine, set(drives(3, 3, &[(2, DriveRole::Active)]), None)).await.0, Refusal::DrivesRefused);
    let out = leaf(engine, &done(engine, set(drives(3, 3, &[(2, DriveRole::Retired)]), None)).await);
    assert_eq!((out.event.name(), &out.data["layout"]), ("storage.drives", &2_u64.into()));
    assert_eq!(refused(engine, set(drives(4, 3, &[(2, leaving)]), None)).await.0, Refusal::DrivesRefused);
    assert_eq!(engine.reads().drive_table().unwrap(), drives(3, 3, &[(2, DriveRole::Retired)]));
    // What a drive is good for is said once; one that is not there is not said of.
    assert_eq!(refused(engine, drive_health(9, 2, 1)).await.0, Refusal::DrivesRefused);
    assert_eq!(refused(engine, drive_health(3, 2, 300)).await.0, Refusal::TooLarge);
    let leaves = engine.reads().journal_size();
    done(engine, drive_health(3, 0, 0)).await;
    assert_eq!(engine.reads().journal_size(), leaves, "it was never seen to fail");
    for (health, was) in [(2, "online"), (1, "failed"), (0, "read-only")] {
        let said = leaf(engine, &done(engine, drive_health(3, health, 10)).await);
        assert_eq!((said.event.name(), &said.data["was"]), ("storage.drive-health", &was.into()));
        assert_eq!(done(engine, drive_health(3, health, 20)).await.leaf_index, None);
    }
    assert_eq!(engine.reads().journal_size(), leaves + 3);
    assert_eq!(engine.reads().layout().unwrap(), Some(layout(2, 3)));
}

async fn layouts_follow_one_another(engine: &impl MetaEngine) {
    assert_eq!(engine.reads().layout().unwrap(), None);
    assert_eq!(refused(engine, Op::SetLayout(layout(2, 3))).await.0, Refusal::LayoutRefused);
    done(engine, Op::SetLayout(layout(1, 3))).await;
    let mut twice = layout(2, 4);
    twice.groups[0][1] = twice.groups[0][0];
    assert_eq!(refused(engine, Op::SetLayout(twice)).await.0, Refusal::LayoutRefused);
    // Stripes name their group by number: a pool keeps its shape.
    let more_groups = Layout { groups: vec![layout(2, 4).groups[0].clone(); 2], ..layout(2, 4) };
    assert_eq!(refused(engine, Op::SetLayout(more_groups)).await.0, Refusal::LayoutRefused);
    let wider = Layout { k: 3, groups: vec![(0..4).map(|n| DriveId::from_bytes([n; 16])).collect()], ..layout(2, 4) };
    assert_eq!(refused(engine, Op::SetLayout(wider)).await.0, Refusal::LayoutRefused);
    done(engine, Op::SetLayout(layout(2, 4))).await;
    assert_eq!(engine.reads().layout().unwrap(), Some(layout(2, 4)));
    // Shards that a degraded write missed go with their object.
    let missing = vec![MissingShard { stripe: run_of(1).first.nth(2), shard_index: 5 }];
    let row = version("e", vec![part(0, 1)]);
    let put =
        Op::PutVersion { bucket: bucket_id(1), key: "k".to_owned(), row, condition: WriteCondition::None, missing };
    done(engine, put).await;
    done(engine, delete(1, "k", WriteCondition::None)).await;
}
