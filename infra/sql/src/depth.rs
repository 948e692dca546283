//! How deeply a text can nest, told from its words before it is parsed. A
//! parser counts brackets; `1+1+1…` nests as deeply as it is long, in every
//! later step, and a stack has an end.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use domain::ports::sql::SqlError;

/// Words of one expression, with those around its brackets.
const MAX_WORDS: usize = 1_000;
/// Tables, and queries joined by UNION and the like.
const MAX_PARTS: usize = 100;

pub fn check(text: &str) -> Result<(), SqlError> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize();
    let tokens = tokens.map_err(|e| SqlError::Invalid(e.to_string()))?;
    let mut levels = vec![Level::default()];
    let (mut words, mut parts) = (0_usize, 0_usize);
    for token in tokens {
        let level = match levels.last_mut() {
            Some(level) => level,
            // A bracket that was never opened; the parser says so.
            None => return Ok(()),
        };
        match token {
            Token::Whitespace(_) => {}
            Token::LParen | Token::LBracket | Token::LBrace => levels.push(Level::default()),
            Token::RParen | Token::RBracket | Token::RBrace => {
                words -= level.words;
                levels.pop();
            }
            Token::Comma => {
                words -= std::mem::take(&mut level.words);
                parts += usize::from(level.in_from);
            }
            Token::Word(word) if begins_clause(word.keyword) => {
                words -= std::mem::take(&mut level.words);
                level.in_from = matches!(word.keyword, Keyword::FROM | Keyword::JOIN);
                parts += usize::from(is_part(word.keyword));
            }
            _ => {
                level.words += 1;
                words += 1;
            }
        }
        if words > MAX_WORDS {
            return Err(SqlError::Invalid(format!("an expression has at most {MAX_WORDS} words")));
        }
        if parts > MAX_PARTS {
            return Err(SqlError::Invalid(format!("a query joins at most {MAX_PARTS} tables and queries")));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Level {
    words: usize,
    in_from: bool,
}

fn begins_clause(word: Keyword) -> bool {
    use Keyword as K;
    is_part(word)
        || matches!(
            word,
            K::SELECT | K::FROM | K::WHERE | K::GROUP | K::HAVING | K::ORDER | K::LIMIT | K::ON | K::WITH
        )
}

fn is_part(word: Keyword) -> bool {
    matches!(word, Keyword::JOIN | Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_fine_and_long_chains_are_not() {
        let list = format!("select * from events where position in (1{}) and 1 = 1", ", 2".repeat(5_000));
        assert_eq!(check(&list), Ok(()));
        for (begin, part, end) in [
            ("select 1", "+1", ""),
            ("select ", "not ", "true"),
            ("select 1", "+f(1, 2)", ""),
            ("select 1", "+(1", ""),
            ("select 1", " union all select 1", ""),
            ("select 1 from a", ", a", ""),
            ("select 1 from a", " join a on true", ""),
        ] {
            assert_eq!(check(&format!("{begin}{}{end}", part.repeat(20))), Ok(()), "{part}");
            assert!(check(&format!("{begin}{}{end}", part.repeat(1_001))).is_err(), "{part}");
        }
        assert_eq!(check("select 1)))"), Ok(()));
    }
}
