use proptest::prelude::*;
use serde_json::json;

use super::*;

const TEXT: &str =
    "The cat sat on the mat, and the dog sat by it. \"Why,\" said I, \"does it sit?\" It did not say.";

#[test]
fn a_row_is_shares_then_figures() {
    let maker = Fingerprinter::new(Parameters::default());
    let row = maker.row(TEXT);
    assert_eq!(
        (row.len(), maker.names().len(), maker.units().len()),
        (maker.width(), maker.width(), maker.width())
    );
    let at = |name: &str| row[maker.names().iter().position(|n| n == name).unwrap()];
    // 3 of 22 words.
    assert_eq!(at("the"), 136_364);
    let grams: i64 = row[FUNCTION_WORDS.len()..maker.counted()].iter().sum();
    assert!((grams - 1_000_000).abs() <= 128, "{grams}");
    assert_eq!(at("word_length"), whole(Features::of(TEXT).word_length * 1e3));
    assert_eq!(maker.row(""), vec![0; maker.width()]);
}

#[test]
fn parameters_say_what_is_counted() {
    let of = |value| Fingerprinter::new(Parameters::parse(&value).unwrap()).width();
    assert_eq!(of(json!({"function_words": false, "gram_buckets": 8, "figures": false})), 8);
    assert_eq!(of(json!(null)), FUNCTION_WORDS.len() + 256 + FIGURES.len());
    for (bad, pointer) in [
        (json!({"gram_length": 7}), "/gram_length"),
        (json!({"half_life_years": -1}), "/half_life_years"),
        (json!({"figures": 1}), "/figures"),
        (json!({"n/a": 1}), "/n~1a"),
        (json!({"function_words": false, "gram_buckets": 0}), "/gram_buckets"),
        (json!([]), ""),
    ] {
        assert_eq!(Parameters::parse(&bad).unwrap_err().pointer, pointer);
    }
}

#[test]
fn an_estimate_by_hand() {
    let mut sums = Sums::default();
    // Equal weights: mean 20, sample deviation 10, error 10/√3, t of 2 = 4.303.
    for value in [10, 20, 30] {
        sums.add(&[value], 1_000);
    }
    let found = weighted(&[(1.0, &sums)]);
    assert_eq!((found.mean, found.half, found.effective), (vec![20], Some(vec![25]), 3_000));
    let mut newer = Sums::default();
    newer.add(&[60], 1_000);
    // (20·3·½ + 60)/(3·½ + 1).
    assert_eq!(weighted(&[(0.5, &sums), (1.0, &newer)]).mean, [36]);
    assert_eq!(weighted(&[(1.0, &newer)]).half, None);
    assert_eq!(weighted(&[]), Estimate::default());
}

#[test]
fn distances_are_between_like_and_unlike() {
    let mut corpus = Sums::default();
    let rows = [[100, 900, 5], [110, 890, 5], [900, 100, 5]];
    rows.iter().for_each(|row| corpus.add(row, 500));
    let space = Space::new(&corpus, 3);
    let scores: Vec<Vec<f64>> = rows.iter().map(|row| space.scores(row)).collect();
    assert!(Space::distance(&scores[0], &scores[1]) < 0.01);
    assert!(Space::distance(&scores[0], &scores[2]) > 1.9);
    assert_eq!(scores[0][2], 0.0);
}

#[test]
fn known_texts_stand_nearest_to_their_own_author_without_themselves() {
    let mut draws = crate::random::Draws::new(11);
    let mut row = |author: usize| -> Vec<i64> {
        (0..30).map(|i| 1_000 + draws.below(300) as i64 + if i % 3 == author { 400 } else { 0 }).collect()
    };
    let rows: Vec<(usize, Vec<i64>)> = (0..12).map(|i| (i % 3, row(i % 3))).collect();
    let mut texts: Vec<Labelled<'_>> =
        rows.iter().map(|(a, row)| Labelled { author: Some(*a), words: 500, row }).collect();
    texts[0].author = None;
    let found = nearest(&texts, 3, 30);
    for (found, (author, _)) in found.iter().zip(&rows) {
        let found = found.as_ref().unwrap();
        assert_eq!(found.author, *author);
        assert!(found.second.unwrap().1 > found.distance);
        assert!(!found.features.is_empty() && found.features.len() <= 5);
    }
    // A text alone has nothing to stand near to.
    assert_eq!(nearest(&texts[1..2], 3, 30), [None]);
}

proptest! {
    #[test]
    fn taking_a_text_out_undoes_it(texts in proptest::collection::vec((".{0,80}", 1usize..20_000), 1..8), out in 0usize..8) {
        let maker = Fingerprinter::new(Parameters { gram_buckets: 16, ..Parameters::default() });
        let out = out % texts.len();
        let (mut all, mut without) = (Sums::default(), Sums::default());
        for (i, (text, words)) in texts.iter().enumerate() {
            let row = maker.row(text);
            prop_assert!(row.iter().all(|v| v.abs() <= MOST));
            all.add(&row, *words);
            if i != out {
                without.add(&row, *words);
            }
        }
        all.remove(&maker.row(&texts[out].0), texts[out].1);
        if texts.len() > 1 {
            prop_assert_eq!(all, without);
        } else {
            prop_assert_eq!((all.samples, all.weight), (0, 0));
        }
    }
}
