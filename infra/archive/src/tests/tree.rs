//! The tree beside the segments.

use std::collections::BTreeSet;

use domain::ports::archive::ArchiveError;
use domain::ports::tree::{SignedCheckpoint, TreeLog};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use proofs::{Checkpoint, LogTiles, SigningKey, TilePath, Tiles};

use super::bed::{Bed, Fault};
use crate::{Archiver, Signed};

const ORIGIN: &str = "log.example";

fn archiver(bed: &Bed) -> Archiver {
    bed.archiver().with_tree(Signed { tree: bed.log.clone(), origin: ORIGIN.to_owned() })
}

/// Signs the log as it is.
async fn sign(bed: &Bed) -> SignedCheckpoint {
    let tree = bed.log.frontier().await.unwrap();
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: tree.size(), root: tree.root() };
    let note = checkpoint.sign(&[SigningKey::generate(ORIGIN, &[1; 32]).unwrap()]);
    let Checkpoint { origin, size, root } = checkpoint;
    let signed = SignedCheckpoint { origin, size, root, note, signed_at: Timestamp::UNIX_EPOCH };
    bed.log.keep_checkpoint(&signed).await.unwrap()
}

/// Exactly the tiles of this size are there, and are those of the log.
async fn check(bed: &Bed, signed: &SignedCheckpoint) {
    let store = bed.store();
    let manifest = store.manifest().await.unwrap().unwrap();
    assert_eq!(manifest.checkpoint.as_ref(), Some(&signed.note));
    assert_eq!(store.get("tlog/checkpoint").await.unwrap(), signed.note);
    let listed = store.list("tlog/tile").await.unwrap();
    let there: BTreeSet<String> = listed.into_iter().map(|o| o.location.to_string()).collect();
    let paths = TilePath::of_tree(0, signed.size);
    assert_eq!(there, paths.iter().map(|path| format!("tlog/{path}")).collect());
    let tiles = LogTiles::new(bed.log.clone());
    for path in paths {
        assert_eq!(store.get(&format!("tlog/{path}")).await.unwrap(), tiles.tile(path).await.unwrap());
    }
}

#[tokio::test]
async fn what_is_sealed_is_covered_by_its_checkpoint_and_tiles() {
    let bed = Bed::new();
    let archiver = archiver(&bed);
    for facts in [5, 248, 1, 300, 700] {
        bed.grow(facts).await;
        let signed = sign(&bed).await;
        // Nobody has signed these yet.
        bed.grow(3).await;
        archiver.seal(true).await.unwrap().unwrap();
        check(&bed, &signed).await;
    }
    bed.grow(1).await;
    let before = bed.store().manifest().await.unwrap().unwrap().checkpoint;
    archiver.seal(true).await.unwrap().unwrap();
    assert_eq!(bed.store().manifest().await.unwrap().unwrap().checkpoint, before);
}

#[tokio::test]
async fn an_interrupted_step_is_done_again() {
    for fault in [Fault::Refused, Fault::Unanswered, Fault::Torn, Fault::Full] {
        let bed = Bed::new();
        bed.grow(300).await;
        let signed = sign(&bed).await;
        bed.objects.fail("tlog/tile/0/000", fault);
        assert!(archiver(&bed).seal(true).await.is_err(), "{fault:?}");
        archiver(&bed).seal(true).await.unwrap().unwrap();
        check(&bed, &signed).await;
    }
}

#[tokio::test]
async fn a_tile_of_another_tree_is_not_taken() {
    let bed = Bed::new();
    bed.grow(300).await;
    sign(&bed).await;
    let foreign = PutPayload::from(vec![7; 8192]);
    bed.objects.inner.put(&Path::from("tlog/tile/0/000"), foreign).await.unwrap();
    let error = archiver(&bed).seal(true).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Damaged { .. }), "{error}");
    assert_eq!(bed.store().manifest().await.unwrap(), None);
}
