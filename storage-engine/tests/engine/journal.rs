//! The journal through the facade: one leaf per mutation, checkpoints that never fork, proofs.

use chartrier_journal::{Checkpoint, Leaf, Signer, check_record, check_tree, leaf_hash, prove_record, prove_tree};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn leaves_prove_and_checkpoints_extend_one_another() {
    let rig = Rig::new();
    let signer = Signer::new(&rig.config.journal_origin, &[9; 32]).unwrap();
    let engine = rig.open().await;
    // The tree without leaves is signed once, so that an export of it verifies.
    assert!(engine.sign_due_checkpoint(&signer).await.unwrap());
    assert!(!engine.sign_due_checkpoint(&signer).await.unwrap());
    propose(&engine, create_bucket(BUCKET, "b")).await;
    for n in 0..20 {
        let applied = put(&engine, &format!("k{n}"), 10).await;
        assert_eq!(applied.leaf_index, Some(n + 1));
    }
    assert!(engine.sign_due_checkpoint(&signer).await.unwrap());
    let first = engine.journal().latest_checkpoint().unwrap().unwrap();
    let first = Checkpoint::open(&first, &signer.verifier()).unwrap();
    assert_eq!(first.size(), 21);

    drop(engine);
    let engine = rig.open().await;
    assert_eq!(delete(&engine, "k3").await.leaf_index, Some(21));
    assert!(engine.sign_due_checkpoint(&signer).await.unwrap());
    let second = engine.journal().latest_checkpoint().unwrap().unwrap();
    let second = Checkpoint::open(&second, &signer.verifier()).unwrap();
    assert_eq!((second.size(), engine.journal().size()), (22, 22));

    let hashes = engine.journal().hash_reader();
    let proof = prove_tree(second.size(), first.size(), &hashes).unwrap();
    check_tree(&proof, second.size(), &second.root(), first.size(), &first.root()).unwrap();
    for index in 0..22 {
        let bytes = engine.journal().leaf(index).unwrap();
        assert_eq!(Leaf::parse(&bytes).unwrap().seq, index);
        let proof = prove_record(22, index, &hashes).unwrap();
        check_record(&proof, 22, &second.root(), index, &leaf_hash(&bytes)).unwrap();
    }
    assert!(engine.journal().leaf(22).is_err());
    assert_eq!(engine.journal().origin(), rig.config.journal_origin);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_of_another_log_is_refused() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    let stranger = Signer::new("elsewhere.example/log", &[9; 32]).unwrap();
    assert!(engine.sign_due_checkpoint(&stranger).await.is_err());
    assert_eq!(engine.journal().latest_checkpoint().unwrap(), None);
}
