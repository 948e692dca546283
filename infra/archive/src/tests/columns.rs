use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use domain::{band, tap};

use super::bed::Bed;
use crate::scan::{Scan, positions};

#[tokio::test]
async fn types_come_side_by_side_in_the_order_of_positions() {
    let bed = Bed::new();
    bed.seal_in_steps(2, 20_000).await;
    let manifest = bed.store().manifest().await.unwrap().unwrap();
    let types = [tap::TAPPED, tap::PREVIEWED, band::REGISTERED];
    let mut chunks = bed.store().scan(&manifest, &Scan::new(&types, &["decoded"]).after(777));
    let (mut seen, mut through) = (Vec::new(), 777);
    while let Some(chunk) = chunks.next().await.unwrap() {
        assert_eq!(chunk.after, through);
        through = chunk.through;
        let rows = chunk.rows().map(|(part, row)| positions(&chunk.parts[part].batch)[row] as u64);
        seen.extend(rows);
        assert!(seen.last().is_none_or(|last| *last <= through));
    }
    let all = bed.all().await;
    let wanted = |t: &str| types.contains(&t);
    let expected = all.iter().filter(|e| e.position > 777 && wanted(&e.event_type)).map(|e| e.position);
    assert_eq!(seen, expected.collect::<Vec<_>>());
    assert_eq!(through, 40_000);
}

/// band_id and decoded of each tap, by whichever way the texts come.
async fn taps(bed: &Bed, scan: &Scan) -> Vec<(Option<String>, bool)> {
    let manifest = bed.store().manifest().await.unwrap().unwrap();
    let mut chunks = bed.store().scan(&manifest, scan);
    let mut taps = Vec::new();
    while let Some(chunk) = chunks.next().await.unwrap() {
        for part in &chunk.parts {
            let bands = part.batch.column_by_name("p_band_id").unwrap();
            let decoded = part.batch.column_by_name("decoded").unwrap().as_boolean();
            for row in 0..part.batch.num_rows() {
                let text = |texts: &arrow_array::StringArray, row: usize| texts.value(row).to_owned();
                let band = bands.is_valid(row).then(|| match bands.as_dictionary_opt::<Int32Type>() {
                    Some(codes) => text(codes.values().as_string(), codes.keys().value(row) as usize),
                    None => text(bands.as_string(), row),
                });
                taps.push((band, decoded.value(row)));
            }
        }
    }
    taps
}

#[tokio::test]
async fn the_fields_of_a_payload_are_columns() {
    let bed = Bed::new();
    bed.seal_in_steps(1, 1_000).await;
    let scan = Scan::new(&[tap::TAPPED], &["p_band_id", "decoded", "p_not_there"]);
    let seen = taps(&bed, &scan).await;
    let all = bed.all().await;
    let expected: Vec<_> = all
        .iter()
        .filter(|e| &*e.event_type == tap::TAPPED)
        // One in ten does not fit.
        .map(|e| match e.position % 10 {
            4 => (None, false),
            _ => (Some(format!("b{}", e.position % 7)), true),
        })
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(taps(&bed, &scan.clone().dictionaries()).await, expected);
}

/// A segment that follows another schema than today's: its columns are made
/// anew from the payload's text.
#[tokio::test]
async fn old_segments_have_todays_columns() {
    let bed = Bed::new();
    bed.seal_in_steps(1, 500).await;
    let scan = Scan::new(&[tap::TAPPED], &["p_band_id", "decoded"]);
    let today = taps(&bed, &scan).await;
    let mut manifest = bed.store().manifest().await.unwrap().unwrap();
    manifest.number += 1;
    for segment in &mut manifest.segments {
        segment.schema = 0;
    }
    bed.store().commit(&manifest).await.unwrap();
    assert_eq!(taps(&bed, &scan).await, today);
    assert_eq!(taps(&bed, &scan.dictionaries()).await, today);
}
