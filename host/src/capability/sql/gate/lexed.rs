//! The text as tokens, bounded before anything looks at what they mean.
//!
//! The parser counts its own recursion, but builds chains such as
//! `1 + 1 + 1 + …` in a loop: a tree as deep as the chain is long. So chains are
//! counted here.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};

use super::pen::{position, refused};
use super::rejected::{Reason, Rejected};

/// Longest statement, in bytes. Data goes into parameters and COPY.
pub const MAX_TEXT: usize = 256 * 1024;

/// Most tokens of a statement that are not white space.
const MAX_TOKENS: usize = 64 * 1024;

/// Most open brackets.
const MAX_BRACKETS: usize = 40;

/// Most links of a chain: tokens between two commas or brackets that can tie
/// one more expression, query or join to what stands before it.
const MAX_CHAIN: usize = 500;

/// The dialect of all that is read here.
pub(super) const DIALECT: PostgreSqlDialect = PostgreSqlDialect {};

/// Cuts a text into tokens, all bounds kept.
pub(super) fn lexed(text: &str) -> Result<Vec<TokenWithSpan>, Rejected> {
    if text.len() > MAX_TEXT {
        return Err(Rejected::new(Reason::TooLong));
    }
    if text.contains('\0') {
        return Err(Rejected::new(Reason::NotRead));
    }
    let tokens = Tokenizer::new(&DIALECT, text)
        .tokenize_with_location()
        .map_err(|TokenizerError { location, .. }| Rejected {
            reason: Reason::NotRead,
            position: position(location),
        })?;
    bounded(&tokens)?;
    Ok(tokens)
}

fn bounded(tokens: &[TokenWithSpan]) -> Result<(), Rejected> {
    let mut count = 0;
    // One chain for each open bracket, and one outside all.
    let mut chains = vec![0_usize];
    for TokenWithSpan { token, span } in tokens {
        if matches!(token, Token::Whitespace(_)) {
            continue;
        }
        count += 1;
        if count > MAX_TOKENS {
            return Err(refused(Reason::TooLong, *span));
        }
        match token {
            Token::LParen | Token::LBracket => {
                // A bracket is a link too: `a[1][2]…`, `f(x)(y)…`.
                link(&mut chains);
                chains.push(0);
            }
            Token::RParen | Token::RBracket => {
                chains.pop();
                if chains.is_empty() {
                    return Err(refused(Reason::NotRead, *span));
                }
            }
            Token::Comma => restart(&mut chains),
            Token::Word(word) if word.keyword == Keyword::NoKeyword => {}
            Token::SingleQuotedString(_) | Token::Number(..) | Token::Placeholder(_) => {}
            _ => link(&mut chains),
        }
        let longest = chains.last().copied().unwrap_or_default();
        if chains.len() > MAX_BRACKETS || longest > MAX_CHAIN {
            return Err(refused(Reason::TooDeep, *span));
        }
    }
    Ok(())
}

fn link(chains: &mut [usize]) {
    if let Some(chain) = chains.last_mut() {
        *chain += 1;
    }
}

fn restart(chains: &mut [usize]) {
    if let Some(chain) = chains.last_mut() {
        *chain = 0;
    }
}
