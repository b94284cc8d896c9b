//! Every spelling, in random surroundings, cut into random chunks.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::secret::Secret;

fn set(secrets: &[&[u8]]) -> SecretSet {
    let set = SecretSet::default();
    for secret in secrets {
        set.add(&Secret::new(*secret)).unwrap();
    }
    set
}

/// Scrubs in chunks of these sizes, over and over.
fn scrub(set: &SecretSet, input: &[u8], chunks: &[usize]) -> (Vec<u8>, u64) {
    let mut scrubber = set.scrubber();
    let mut out = Vec::new();
    let mut rest = input;
    for size in chunks.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*size).clamp(1, rest.len()));
        scrubber.push(chunk, &mut out);
        rest = after;
    }
    let redactions = scrubber.finish(&mut out);
    (out, redactions)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Scrubs a form between quotes (so that no escape of the surroundings is left
/// open) and demands exactly one mark in its place.
fn check_form(
    secret: &[u8],
    form: &[u8],
    around: (&[u8], &[u8]),
    chunks: &[usize],
) -> Result<(), TestCaseError> {
    let set = set(&[secret]);
    let input = [around.0, b"\"", form, b"\"", around.1].concat();
    let expected = [around.0, b"\"", REDACTED.as_bytes(), b"\"", around.1].concat();
    let (out, redactions) = scrub(&set, &input, chunks);
    prop_assert_eq!(lossy(&out), lossy(&expected), "form {}", lossy(form));
    prop_assert_eq!(redactions, 1);
    prop_assert!(set.contains_secret(&input), "positive control");
    prop_assert!(!set.contains_secret(&out));
    Ok(())
}

/// Base64 of the secret inside a longer text, with the stretch of it that the
/// secret alone determines.
fn in_base64(
    secret: &[u8],
    around: (&[u8], &[u8]),
    engine: &impl base64::Engine,
) -> (String, usize, usize) {
    let text = engine.encode([around.0, secret, around.1].concat());
    let from = (around.0.len() * 8).div_ceil(6);
    let to = (around.0.len() + secret.len()) * 8 / 6;
    (text, from, to)
}

fn wrap(text: &str, width: usize, line_break: &str) -> String {
    let lines: Vec<_> = text.as_bytes().chunks(width).map(lossy).collect();
    lines.join(line_break)
}

#[test]
fn a_harmless_text_needs_no_automata() {
    let secrets = set(&[b"s3cr3t-t0ken", b"4815162342"]);
    let text = format!(r#"{{"rows": {}, "sum": "48151 62.5"}}"#, 1_u64 << 40);
    assert_eq!(secrets.scrub_text(&text), text);
    assert!(!secrets.contains_secret(b"s3cr3t token"));
    assert!(!secrets.is_compiled());
    // The controls: what looks like one, what may hide one, and what is long.
    for text in [b"s3cr3t-t0k".to_vec(), b"100 %".to_vec(), vec![b' '; 5000]] {
        let secrets = set(&[b"s3cr3t-t0ken"]);
        assert_eq!(secrets.scrub_bytes(&text), text);
        assert!(secrets.is_compiled(), "{}", lossy(&text));
    }
    assert_eq!(secrets.scrub_text("a s3cr3t-t0ken"), "a [redacted]");
    // Asked for, they are built when there is something to find, and only then.
    let (some, none) = (set(&[b"s3cr3t-t0ken"]), set(&[]));
    some.prepare();
    none.prepare();
    assert!(some.is_compiled() && !none.is_compiled());
}

// The encoders. `pick` says which characters a selective encoder escapes.

fn percent(bytes: &[u8], pick: &[bool], upper: bool) -> Vec<u8> {
    escape(bytes, pick, b"%", |b| {
        if upper {
            format!("%{b:02X}")
        } else {
            format!("%{b:02x}")
        }
    })
}

fn escape(bytes: &[u8], pick: &[bool], must: &[u8], spell: impl Fn(u8) -> String) -> Vec<u8> {
    let mut out = Vec::new();
    for (b, pick) in bytes.iter().zip(pick.iter().cycle()) {
        if *pick || must.contains(b) {
            out.extend_from_slice(spell(*b).as_bytes());
        } else {
            out.push(*b);
        }
    }
    out
}

fn json(text: &str, pick: &[bool], upper: bool) -> String {
    let mut out = String::new();
    for (c, pick) in text.chars().zip(pick.iter().cycle()) {
        match c {
            '/' if !pick => out.push_str("\\/"),
            '"' | '\\' if !pick => out.extend(['\\', c]),
            c if !pick && !c.is_control() => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let digits = format!("{unit:04x}");
                    let digits = if upper { digits.to_uppercase() } else { digits };
                    out.push_str("\\u");
                    out.push_str(&digits);
                }
            }
        }
    }
    out
}

fn entities(text: &str, pick: &[bool], hex: bool) -> String {
    let mut out = String::new();
    for (c, pick) in text.chars().zip(pick.iter().cycle()) {
        match c {
            '&' if !pick => out.push_str("&amp;"),
            '<' if !pick => out.push_str("&lt;"),
            '"' if !pick => out.push_str("&quot;"),
            c if !pick => out.push(c),
            c if hex => out.push_str(&format!("&#x{:X};", c as u32)),
            c => out.push_str(&format!("&#{};", c as u32)),
        }
    }
    out
}

fn serde_json_inner(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Texts as tokens and passwords are, some with what reads as an escape.
fn text_secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9._~+/=-]{8,64}",
        "[ -~]{8,64}",
        "[!-~]{4}[ -~éß€😀]{8,40}[!-~]",
        "[a-z]{8}(%41|\\\\n|&amp;|\\\\u0041|\\\\){1,4}[a-z]{2}",
    ]
}

fn any_secret() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        text_secret().prop_map(String::into_bytes),
        vec(any::<u8>(), 8..=64)
    ]
}

fn surroundings() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let one = || {
        prop_oneof![
            vec(any::<u8>(), 0..100),
            "[ -~\n]{0,100}".prop_map(String::into_bytes)
        ]
    };
    (one(), one())
}

fn chunk_sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![1]), Just(vec![1 << 20]), vec(1_usize..40, 1..20)]
}

fn picks() -> impl Strategy<Value = Vec<bool>> {
    prop_oneof![
        Just(vec![true]),
        Just(vec![false]),
        vec(any::<bool>(), 1..64)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Texts of few letters hold much that looks like a secret.
    #[test]
    fn a_glance_misses_nothing(
        secret in "[ab]{8,10}",
        text in "[ab01 :,%\\\\&YWJiYmE=6x]{0,60}",
        at in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let set = set(&[secret.as_bytes()]);
        let mut text = text.into_bytes();
        if whole {
            let at = at.index(text.len() + 1);
            text.splice(at..at, secret.bytes());
        }
        let (out, redactions) = scrub(&set, &text, &[7]);
        prop_assert_eq!(set.contains_secret(&text), redactions > 0);
        prop_assert_eq!(set.scrub_bytes(&text), out);
        prop_assert!(!whole || redactions > 0);
    }

    #[test]
    fn raw_hex_and_decimal(secret in any_secret(), (a, b) in surroundings(), chunks in chunk_sizes(), pick in picks()) {
        let hex = hex::encode(&secret);
        let mixed: String = hex.chars().zip(pick.iter().cycle())
            .map(|(c, up)| if *up { c.to_ascii_uppercase() } else { c }).collect();
        let pairs = |sep: &str, before: &str| secret.iter().map(|b| format!("{before}{b:02X}")).collect::<Vec<_>>().join(sep);
        let mut forms = vec![secret.clone(), hex.clone().into(), hex.to_uppercase().into(), mixed.into(),
            pairs(":", "").into(), pairs(" ", "").into(), pairs(", ", "0x").into(), pairs("", "\\x").into()];
        if secret.iter().all(|b| *b >= 10) {
            let values: Vec<_> = secret.iter().map(u8::to_string).collect();
            forms.push(values.join(",").into());
            forms.push(values.join(",\n  ").into());
        }
        for form in forms {
            check_form(&secret, &form, (&a, &b), &chunks)?;
        }
    }

    #[test]
    fn base64_in_every_alignment(secret in any_secret(), (a, b) in surroundings(), chunks in chunk_sizes()) {
        // Inside JSON such a secret has a backslash more at its edge: see below.
        prop_assume!(!matches!(secret[0], b'"' | b'\\') && !secret.ends_with(b"\\"));
        let set = set(&[&secret]);
        for shift in 0..3 {
            let around = (&[&a[..], &b"xyz"[..shift]].concat()[..], &b[..]);
            for (text, from, to) in [
                in_base64(&secret, around, &STANDARD), in_base64(&secret, around, &STANDARD_NO_PAD),
                in_base64(&secret, around, &URL_SAFE), in_base64(&secret, around, &URL_SAFE_NO_PAD),
            ] {
                let (out, redactions) = scrub(&set, text.as_bytes(), &chunks);
                prop_assert_eq!(lossy(&out), format!("{}{REDACTED}{}", &text[..from], &text[to..]));
                prop_assert_eq!(redactions, 1);
                prop_assert!(!set.contains_secret(&out));
                for (width, line_break) in [(76, "\r\n"), (64, "\n"), (60, "\n    ")] {
                    let place = |at: usize| at + at / width * line_break.len();
                    let wrapped = wrap(&text, width, line_break);
                    let expected = format!("{}{REDACTED}{}", &wrapped[..place(from)], &wrapped[place(to - 1) + 1..]);
                    prop_assert_eq!(lossy(&scrub(&set, wrapped.as_bytes(), &chunks).0), expected);
                    let in_json = serde_json::to_vec(&wrapped).unwrap();
                    prop_assert!(!set.contains_secret(&scrub(&set, &in_json, &chunks).0));
                    prop_assert!(set.contains_secret(&in_json));
                }
            }
        }
    }

    /// Where the neighbour of such a secret shares bits with the backslash that
    /// JSON puts there, the character of base64 that holds them goes with it.
    /// Never less than the secret goes, and nothing beyond that.
    #[test]
    fn base64_of_a_secret_that_json_escapes_at_its_edge(middle in any_secret(), quote: bool, (a, b) in surroundings(), chunks in chunk_sizes()) {
        // With two escapes in a row, backslashes around it can spell out all of
        // its form in JSON, which then goes too.
        prop_assume!(!matches!(middle[0], b'"' | b'\\') && !middle.ends_with(b"\\"));
        let first = if quote { b'"' } else { b'\\' };
        let secret = [&[first], &middle[..], b"\\"].concat();
        let set = set(&[&secret]);
        for neighbour in [b'l', b'|', b'x', b'P', b'\\', b' '] {
            let (before, after) = ([&a[..], &[neighbour]].concat(), [&[neighbour], &b[..]].concat());
            let (text, from, to) = in_base64(&secret, (&before, &after), &STANDARD);
            let (out, _) = scrub(&set, text.as_bytes(), &chunks);
            let out = lossy(&out);
            let (left, right) = out.split_once(REDACTED).unwrap();
            prop_assert!(text.starts_with(left) && (from - 2..=from).contains(&left.len()), "{} of {}", left, text);
            let behind = text.len() - right.len();
            prop_assert!(text.ends_with(right) && (to..=to + 2).contains(&behind), "{} of {}", right, text);
        }
    }

    #[test]
    fn percent_encoding(secret in any_secret(), (a, b) in surroundings(), chunks in chunk_sizes(), pick in picks(), upper: bool) {
        check_form(&secret, &percent(&secret, &pick, upper), (&a, &b), &chunks)?;
        let form: String = url::form_urlencoded::byte_serialize(&secret).collect();
        check_form(&secret, form.as_bytes(), (&a, &b), &chunks)?;
    }

    #[test]
    fn json_and_entities(secret in text_secret(), (a, b) in surroundings(), chunks in chunk_sizes(), pick in picks(), flag: bool) {
        let around = (&a[..], &b[..]);
        check_form(secret.as_bytes(), json(&secret, &pick, flag).as_bytes(), around, &chunks)?;
        check_form(secret.as_bytes(), serde_json_inner(&secret).as_bytes(), around, &chunks)?;
        check_form(secret.as_bytes(), entities(&secret, &pick, flag).as_bytes(), around, &chunks)?;
    }

    #[test]
    fn layers_upon_layers(secret in "[!-$'-\\[\\]-~ é€]{8,64}", chunks in chunk_sizes(), pick in picks(), flag: bool) {
        let bytes = secret.as_bytes();
        let base64 = STANDARD.encode(bytes);
        let all = [true];
        let forms = [
            percent(base64.as_bytes(), &pick, flag),
            json(&base64, &pick, flag).into_bytes(),
            entities(&base64, &pick, flag).into_bytes(),
            percent(hex::encode(bytes).as_bytes(), &pick, flag),
            json(&json(&secret, &all, flag), &pick, flag).into_bytes(),
            serde_json_inner(&serde_json_inner(&json(&secret, &pick, flag))).into_bytes(),
            percent(&percent(bytes, &all, flag), &pick, flag),
            json(&lossy(&percent(bytes, &all, flag)), &pick, flag).into_bytes(),
            percent(json(&secret, &all, flag).as_bytes(), &pick, flag),
            entities(&json(&secret, &pick, flag), &pick, flag).into_bytes(),
            STANDARD.encode(json_document(&secret)).into_bytes(),
        ];
        for form in forms {
            let set = set(&[bytes]);
            let (out, redactions) = scrub(&set, &form, &chunks);
            prop_assert_eq!(redactions, 1, "{} -> {}", lossy(&form), lossy(&out));
            prop_assert!(!set.contains_secret(&out));
        }
    }

    #[test]
    fn what_holds_no_secret_passes_unchanged(secret in any_secret(), (a, b) in surroundings(), chunks in chunk_sizes(), pick in picks()) {
        let set = set(&[&secret, b"correct horse battery staple"]);
        let input = [&a[..], &percent(&b, &pick, true), b"&#47;\\u0041\\n|", &secret[secret.len() / 2..]].concat();
        prop_assume!(!input.windows(secret.len()).any(|w| w == secret));
        prop_assert_eq!(lossy(&scrub(&set, &input, &chunks).0), lossy(&input));
    }

    #[test]
    fn chunks_make_no_difference(secrets in vec(any_secret(), 1..4), parts in vec((surroundings(), any::<u8>()), 0..6), chunks in chunk_sizes()) {
        let set = set(&secrets.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let mut input = Vec::new();
        for ((a, b), choice) in parts {
            let secret = &secrets[usize::from(choice) % secrets.len()];
            input.extend(a);
            match choice % 5 {
                0 => input.extend_from_slice(secret),
                1 => input.extend(STANDARD.encode(secret).into_bytes()),
                2 => input.extend(percent(secret, &[true, false], false)),
                3 => input.extend(hex::encode(secret).into_bytes()),
                _ => input.extend_from_slice(&secret[..secret.len() / 2]),
            }
            input.extend(b);
        }
        let whole = scrub(&set, &input, &[usize::MAX]);
        prop_assert_eq!(scrub(&set, &input, &chunks), whole);
    }
}

fn json_document(secret: &str) -> String {
    format!("{{\"a\":{}}}", serde_json::to_string(secret).unwrap())
}

#[test]
fn overlapping_secrets_leave_one_mark() {
    let set = set(&[b"0123456789abcdef", b"89abcdefGHIJKLMN", b"23456789"]);
    let scrubbed = |text: &str| set.scrub_text(text);
    assert_eq!(
        scrubbed("<0123456789abcdefGHIJKLMN>"),
        format!("<{REDACTED}>")
    );
    assert_eq!(scrubbed("<0123456789>"), format!("<01{REDACTED}>"));
    let twice = "0123456789abcdef0123456789abcdef";
    assert_eq!(scrubbed(twice), format!("{REDACTED}{REDACTED}"));
}

#[test]
fn endless_repetition_holds_little_back() {
    let set = set(&[b"abababab"]);
    let mut scrubber = set.scrubber();
    let mut out = Vec::new();
    for _ in 0..10_000 {
        scrubber.push(b"abab", &mut out);
    }
    scrubber.push(b"!", &mut out);
    assert_eq!(lossy(&out), format!("{REDACTED}!"));
    assert_eq!(scrubber.finish(&mut out), 1);
}

#[test]
fn started_spellings_do_not_hold_the_stream_back() {
    // Each of these could be the beginning of a spelling for ever.
    let set = set(&[b"hunter2-hunter3"]);
    for decoy in ["hunter2-", "aHVudGVy\n", "68:75:\n", "%68", "\\u0068", "&#"] {
        let mut scrubber = set.scrubber();
        let mut out = Vec::new();
        let mut pushed = 0;
        for _ in 0..10_000 {
            scrubber.push(decoy.as_bytes(), &mut out);
            pushed += decoy.len();
            assert!(pushed - out.len() < 200, "{decoy:?}");
        }
        let blanks = vec![b'\n'; 100_000];
        scrubber.push(&blanks, &mut out);
        assert!(pushed + blanks.len() - out.len() < 200, "{decoy:?}");
        scrubber.push(b"hunter2-hunter3", &mut out);
        assert_eq!(scrubber.finish(&mut out), 1, "{decoy:?}");
        assert!(out.ends_with(REDACTED.as_bytes()));
    }
}

#[test]
fn secrets_added_later_are_found_by_later_scrubbers() {
    let set = set(&[b"first-secret"]);
    assert_eq!(set.scrub_text("second-secret"), "second-secret");
    set.clone().add(&Secret::new("second-secret")).unwrap();
    assert_eq!(set.scrub_text("second-secret"), REDACTED);
    assert_eq!(set.scrub_text("first-secret"), REDACTED);
}

#[test]
fn short_secrets_are_refused_and_an_empty_set_passes_everything() {
    let set = SecretSet::default();
    assert_eq!(set.add(&Secret::new("1234567")), Err(TooShort));
    assert!(set.is_empty());
    assert_eq!(set.scrub_text("1234567"), "1234567");
    set.add(&Secret::new("12345678")).unwrap();
    assert_eq!(set.scrub_text("1234567 12345678"), "1234567 [redacted]");
}

#[test]
fn common_accidents_are_caught() {
    let set = set(&["pässword with \"quotes\" & more".as_bytes()]);
    for form in [
        "pässword+with+%22quotes%22+%26+more",
        "p\u{c3}\u{a4}ssword with \"quotes\" & more",
        "p\\u00c3\\u00a4ssword with \\\"quotes\\\" & more",
        "p&#228;ssword with &quot;quotes&quot; &amp; more",
        "p\\xc3\\xa4ssword with \"quotes\" & more",
        "p%u00e4ssword with \"quotes\" & more",
    ] {
        assert_eq!(set.scrub_text(form), REDACTED, "{form}");
    }
}

const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\n\
    OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n\
    -----END PRIVATE KEY-----\n";

/// What comes out of a guest's stream, piece by piece, with its end as the last.
fn streamed(set: &SecretSet, pieces: &[&str]) -> Vec<String> {
    let mut stream = GuestStream::new(set.clone());
    let mut told = Vec::new();
    for piece in pieces {
        let mut out = Vec::new();
        stream.push(piece.as_bytes(), &mut out);
        told.push(lossy(&out));
    }
    let mut out = Vec::new();
    stream.finish(&mut out);
    told.push(lossy(&out));
    told
}

#[test]
fn a_key_that_a_guest_prints_line_by_line_is_found() {
    for line_break in ["\n", "\r\n"] {
        let kept = PEM.replace('\n', line_break);
        let set = set(&[kept.as_bytes()]);
        let mut lines: Vec<String> = PEM.lines().map(|line| format!("{line}\n")).collect();
        lines.insert(0, "the key:\n".to_owned());
        lines.push("done\n".to_owned());
        let pieces: Vec<&str> = lines.iter().map(String::as_str).collect();
        let told = streamed(&set, &pieces).concat();
        assert_eq!(told.matches(REDACTED).count(), 1, "{told}");
        assert!(told.starts_with("the key:\n") && told.ends_with("done\n"));
        assert!(!told.contains("MIGH"), "{told}");
        // The control: each line alone tells nothing, and so was printed in clear.
        let alone: String = pieces.iter().map(|line| set.scrub_text(line)).collect();
        assert!(alone.contains("MIGH"));
    }
    // Without the line break at its end, as programs print what they trimmed.
    let set = set(&[PEM.as_bytes()]);
    assert_eq!(set.scrub_text(&format!("{} ", PEM.trim())), "[redacted] ");
}

#[test]
fn whoever_reads_a_guests_stream_sees_its_lines_at_once() {
    let set = set(&[b"s3cr3t-t0ken"]);
    // A `7` begins a spelling in hex, a `c` one in base64.
    for line in ["row 7\n", "abc\n", "s3cr\n", "100 %\n", "C:\\\n"] {
        assert_eq!(streamed(&set, &[line, "x"])[0], line);
    }
    // The control: four bytes of a spelling wait for what comes after them.
    let told = streamed(&set, &["7333\n", "no\n"]);
    assert_eq!(told, ["", "7333\nno\n", ""]);
    // Let go or not, what goes on is found; a break that may be inside it goes with it.
    let told = streamed(&set, &["73\n", "33\n", "63723374\n", "2d74306b656e\n"]);
    assert_eq!(told.concat(), "73\n[redacted]");
    let letters: Vec<String> = "czNjcjN0LXQwa2Vu"
        .chars()
        .map(|c| format!("{c}\n"))
        .collect();
    let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
    assert_eq!(streamed(&set, &letters).concat(), "c\nz\nN\n[redacted]");
}

#[test]
fn a_guests_stream_that_is_broken_off_ends_without_half_a_key() {
    let set = set(&[PEM.as_bytes()]);
    let half = &PEM[..90];
    assert_eq!(streamed(&set, &["a\n", half]), ["a\n", "", REDACTED]);
    assert_eq!(streamed(&set, &["-----B"])[1], "-----B");
}

#[test]
fn a_secret_that_comes_in_while_another_is_being_printed_changes_nothing() {
    let (first, second) = ("s3cr3t-t0ken", "another secret");
    let set = SecretSet::default();
    let mut stream = GuestStream::new(set.clone());
    let mut out = Vec::new();
    let mut push = |text: &str| stream.push(text.as_bytes(), &mut out);
    push("begin\n");
    set.add(&Secret::new(first)).unwrap();
    push("<s3cr");
    set.add(&Secret::new(second)).unwrap();
    push("3t-t0ken> <another ");
    set.add(&Secret::new("a third secret")).unwrap();
    push("secret> 73\n");
    set.add(&Secret::new("a fourth secret")).unwrap();
    push("33637233742d74306b656e.");
    stream.finish(&mut out);
    let expected = "begin\n<[redacted]> <[redacted]> 73\n[redacted].";
    assert_eq!(lossy(&out), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Pauses, and secrets that come in, change nothing but where a line may stand.
    #[test]
    fn a_guests_stream_tells_no_secret(
        secret in "[ab]{4}\n?[ab]{4,6}",
        text in "[ab01 \n:,%\\\\&YWJiYmE=6x]{0,60}",
        at in any::<prop::sample::Index>(),
        chunks in vec(1_usize..20, 1..5),
        grows in any::<prop::sample::Index>(),
    ) {
        let mut text = text;
        let at = at.index(text.len() + 1);
        text.insert_str(at, &secret);
        let set = set(&[secret.as_bytes()]);
        let mut stream = GuestStream::new(set.clone());
        let (mut out, mut rest, mut pieces) = (Vec::new(), text.as_bytes(), 0);
        for size in chunks.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            if pieces == grows.index(8) {
                set.add(&Secret::new("correct horse")).unwrap();
            }
            pieces += 1;
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            stream.push(piece, &mut out);
            rest = after;
        }
        stream.finish(&mut out);
        prop_assert!(lossy(&out).contains(REDACTED));
        prop_assert!(!set.contains_secret(&out), "{} -> {}", text, lossy(&out));
    }
}
