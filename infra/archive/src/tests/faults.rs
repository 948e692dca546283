use domain::ports::archive::ArchiveError;
use domain::ports::log::ReadFilter;
use rand::{RngExt, SeedableRng};

use super::bed::{Bed, Fault};

/// Whatever fails in between, in the end everything is sealed once, and nobody
/// had to help.
#[tokio::test]
async fn failures_lose_nothing_and_need_no_help() {
    let seed = rand::random::<u64>();
    eprintln!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut bed = Bed::new();
    bed.settings.merge_bytes = 60_000;
    let faults = [Fault::Refused, Fault::Unanswered, Fault::Torn, Fault::Full];
    let mut failures = 0;
    for _ in 0..60 {
        bed.grow(random.random_range(1..60)).await;
        for _ in 0..random.random_range(0..3) {
            let path = ["log/", "manifest/0", "manifest/newest"][random.random_range(0..3)];
            let mut fault = faults[random.random_range(0..4)];
            // A store that tears what it puts in one request tears segments;
            // nothing puts a manifest together from two halves.
            if path != "log/" && fault == Fault::Torn {
                fault = Fault::Unanswered;
            }
            bed.objects.fail(path, fault);
        }
        let archiver = bed.archiver();
        for _ in 0..3 {
            let step = async {
                archiver.seal(true).await?;
                archiver.merge().await
            };
            match step.await {
                Ok(_) => {}
                Err(ArchiveError::Unavailable(_) | ArchiveError::Full(_)) => failures += 1,
                Err(other) => panic!("seed {seed}: {other}"),
            }
        }
    }
    assert!(failures > 10, "seed {seed}: nothing failed");
    while bed.objects.pending() > 0 {
        let _ = bed.archiver().seal(true).await;
        let _ = bed.archiver().merge().await;
        let _ = bed.store().manifest().await;
    }
    while bed.archiver().seal(true).await.unwrap().is_some() {}
    let manifest = bed.store().manifest().await.unwrap().unwrap();
    assert_eq!(bed.store().verify(&manifest).await.unwrap().problems, [], "seed {seed}");
    assert_eq!(bed.sealed(&ReadFilter::default()).await, bed.all().await, "seed {seed}");
}

#[tokio::test]
async fn a_full_store_says_so() {
    let bed = Bed::new();
    bed.grow(10).await;
    bed.objects.fail("log/", Fault::Full);
    // The listing of leftovers does not count.
    let error = bed.archiver().seal(true).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Full(_)), "{error}");
    assert_eq!(bed.archiver().seal(true).await.unwrap().unwrap().through, 10);
}
