//! The frame of every call, seen from the audit; `keys` and `reveal` behind it.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use wasmtime::component::{Resource, ResourceTable};

use super::attempt::AT_ONCE;
use super::bindings::cofferdam::capabilities::{http, keys, reveal, types};
use super::testing::{Stage, audit_lines, audit_text};
use super::{Attempt, CredentialSource, DenialKind, View};
use crate::audit::AuditLog;
use crate::vault::path::KvPath;

const SECRET: &str = "canary-51c0ffee-reveal";

fn stage() -> Stage {
    let mut stage = Stage::default().http(
        "api",
        "base = \"http://127.0.0.1:1/\"\nnetwork = \"loopback\"\nplain = true\nallow = [\"GET x/*\"]",
    );
    let keys = "transit = { mount = \"transit\", key = \"invoices\" }\nallow = [\"sign\", \"verify\", \"decrypt\"]";
    let reveal = "reason = \"a legacy protocol\"\ncredential = { kv1 = { mount = \"kv\", path = \"legacy\", field = \"pin\" } }";
    stage
        .keys
        .insert("signer".parse().unwrap(), toml::from_str(keys).unwrap());
    stage
        .reveal
        .insert("legacy".parse().unwrap(), toml::from_str(reveal).unwrap());
    stage
}

fn plant(attempt: &Attempt, value: &str) {
    let path = CredentialSource::Kv {
        path: KvPath::V1 {
            mount: "kv".parse().unwrap(),
            path: "legacy".parse().unwrap(),
        },
        cache_ttl: Duration::ZERO,
    };
    attempt.credentials().plant(&path, &[("pin", value)]);
}

async fn revealed(attempt: &Arc<Attempt>, grant: &str) -> Result<Vec<u8>, types::Failure> {
    let mut table = ResourceTable::new();
    let mut view = View {
        attempt,
        table: &mut table,
    };
    reveal::Host::reveal(&mut view, grant.to_owned())
        .await
        .unwrap()
}

#[tokio::test]
async fn an_allowed_call_is_an_intent_and_then_its_outcome() {
    let (attempt, folder) = stage().attempt();
    plant(&attempt, SECRET);
    assert_eq!(
        revealed(&attempt, "legacy").await.unwrap(),
        SECRET.as_bytes()
    );
    let lines = audit_lines(&folder);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["grant"], "reveal.legacy");
    assert_eq!(lines[0]["operation"], "reveal");
    assert_eq!(lines[0]["target"], "kv/legacy field pin");
    assert_eq!(lines[0]["decision"], "allowed");
    assert_eq!(lines[1]["of"], lines[0]["seq"]);
    assert_eq!(lines[1]["outcome"], "ok");
    assert!(!audit_text(&folder).contains(SECRET));
    assert_eq!(attempt.calls()["reveal.legacy.reveal"], 1);
    // From now on the scrubber knows it.
    assert!(attempt.parts().secrets.contains_secret(SECRET.as_bytes()));
}

#[tokio::test]
async fn a_refusal_is_one_intent_and_points_at_it() {
    let (attempt, folder) = stage().attempt();
    plant(&attempt, SECRET);
    let failure = revealed(&attempt, "other").await.unwrap_err();
    assert_eq!(failure.kind, types::Denial::NotGranted);
    let lines = audit_lines(&folder);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["decision"], "not_granted");
    assert_eq!(failure.audit_ref, format!("run-1#{}", lines[0]["seq"]));
    let denials = attempt.denials();
    assert_eq!(denials[0].decision, DenialKind::NotGranted);
    assert_eq!(denials[0].grant, "reveal.other");
    assert!(attempt.calls().is_empty());
}

#[tokio::test]
async fn a_thousand_refusals_are_enough() {
    let (attempt, folder) = stage().attempt();
    for number in 0..1_000 {
        assert!(!attempt.is_out_of_refusals(), "{number}");
        revealed(&attempt, "other").await.unwrap_err();
    }
    assert!(attempt.is_out_of_refusals());
    assert_eq!(audit_lines(&folder).len(), 1_000);
    // Refused after its intent counts as well; what Vault could not do does not.
    let (attempt, _folder) = stage().attempt();
    let begin = || attempt.begin(&"http.api".into(), "send", "x").unwrap();
    for _ in 0..1_000 {
        begin().deny(DenialKind::Unavailable, "vault_unavailable");
    }
    assert!(!attempt.is_out_of_refusals());
    for _ in 0..1_000 {
        begin().deny(DenialKind::Internal, "secret_field_missing");
    }
    assert!(attempt.is_out_of_refusals());
}

#[tokio::test]
async fn a_call_that_is_dropped_midway_says_so() {
    let (attempt, folder) = stage().attempt();
    let label: Arc<str> = "http.api".into();
    let mut call = attempt
        .begin(&label, "send", "GET http://127.0.0.1:1/x/1")
        .unwrap();
    call.detail("status", 200);
    drop(call);
    attempt
        .begin(&label, "send", "GET http://127.0.0.1:1/x/1")
        .unwrap()
        .done();
    let lines = audit_lines(&folder);
    assert_eq!(lines[1]["outcome"], "interrupted");
    assert_eq!(lines[1]["detail"]["status"], 200);
    assert_eq!(lines[3]["outcome"], "ok");
}

#[tokio::test]
async fn an_errand_that_is_broken_off_is_over_and_in_the_audit_before_the_attempt_ends() {
    let (attempt, folder) = stage().attempt();
    let call = attempt
        .begin(&"http.api".into(), "send", "GET http://127.0.0.1:1/x/1")
        .unwrap();
    let errand = attempt.errand(move || async move {
        let _call = call;
        std::future::pending::<()>().await;
    });
    let broken_off = tokio::time::timeout(Duration::from_millis(20), errand).await;
    assert!(broken_off.is_err());
    attempt.leave().await;
    attempt.end();
    assert_eq!(audit_lines(&folder)[1]["outcome"], "interrupted");
}

#[tokio::test]
async fn much_is_not_looked_through_where_it_holds_up_others() {
    let (attempt, _folder) = stage().attempt();
    assert!(
        pin!(attempt.before_work_on(AT_ONCE))
            .now_or_never()
            .is_some()
    );
    assert!(!attempt.share().is_used_up());
    let mut much = pin!(attempt.before_work_on(AT_ONCE + 1));
    assert!(much.as_mut().now_or_never().is_none(), "it goes on here");
    assert!(attempt.share().is_used_up());
    much.await;
    assert!(
        pin!(attempt.before_work_on(AT_ONCE + 1))
            .now_or_never()
            .is_some()
    );
}

#[tokio::test]
async fn a_panic_in_an_errand_is_the_guests() {
    let (attempt, _folder) = stage().attempt();
    assert_eq!(attempt.errand(|| async { 5 }).await, 5);
    let errand = attempt.errand(|| async { panic!("planted") });
    let caught: Result<(), _> = AssertUnwindSafe(errand).catch_unwind().await;
    let panic = caught.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"planted"));
}

#[tokio::test]
async fn without_an_audit_nothing_is_used() {
    let mut stage = stage();
    stage.audit = Some(AuditLog::on_full_disk());
    let (attempt, _folder) = stage.attempt();
    plant(&attempt, SECRET);
    for grant in ["legacy", "other"] {
        let failure = revealed(&attempt, grant).await.unwrap_err();
        assert_eq!(failure.kind, types::Denial::Internal, "{grant}");
        assert!(!failure.audit_ref.is_empty());
    }
    assert!(!attempt.parts().secrets.contains_secret(SECRET.as_bytes()));
}

#[tokio::test]
async fn a_secret_in_a_path_does_not_reach_the_audit() {
    let (attempt, folder) = stage().attempt();
    plant(&attempt, SECRET);
    let send = async |path: String| {
        let mut table = ResourceTable::new();
        let mut view = View {
            attempt: &attempt,
            table: &mut table,
        };
        let client = http::Host::open(&mut view, "api".to_owned())
            .await
            .unwrap()
            .unwrap();
        let request = http::Request {
            method: "GET".to_owned(),
            path,
            headers: Vec::new(),
            body: None,
            timeout_ms: None,
        };
        http::HostClient::send(&mut view, client, request)
            .await
            .unwrap()
            .unwrap_err()
    };
    send(format!("x/{SECRET}?{SECRET}")).await;
    let control = audit_text(&folder);
    assert_eq!(
        control.matches(SECRET).count(),
        1,
        "not a secret yet: {control}"
    );
    revealed(&attempt, "legacy").await.unwrap();
    send(format!("x/{SECRET}")).await;
    send(format!("y/{SECRET}")).await;
    assert_eq!(audit_text(&folder).matches(SECRET).count(), 1);
}

#[tokio::test]
async fn a_secret_that_could_not_be_recognised_is_not_revealed() {
    let (attempt, _folder) = stage().attempt();
    plant(&attempt, "1234567");
    let failure = revealed(&attempt, "legacy").await.unwrap_err();
    assert_eq!(failure.kind, types::Denial::Internal);
    let (attempt, _folder) = stage().attempt();
    plant(&attempt, "12345678");
    assert_eq!(revealed(&attempt, "legacy").await.unwrap(), b"12345678");
}

#[tokio::test]
async fn a_key_serves_only_what_its_grant_allows() {
    let (attempt, folder) = stage().attempt();
    let mut table = ResourceTable::new();
    let mut view = View {
        attempt: &attempt,
        table: &mut table,
    };
    let absent = keys::Host::open(&mut view, "api".to_owned()).await.unwrap();
    assert_eq!(absent.unwrap_err().kind, types::Denial::NotGranted);
    let key = keys::Host::open(&mut view, "signer".to_owned())
        .await
        .unwrap()
        .unwrap();
    let again = || Resource::new_borrow(key.rep());

    let hmac = keys::HostKey::hmac(&mut view, again(), b"x".to_vec())
        .await
        .unwrap();
    assert_eq!(hmac.unwrap_err().kind, types::Denial::OutOfScope);
    let large = keys::HostKey::sign(&mut view, again(), vec![0; (1 << 20) + 1])
        .await
        .unwrap();
    assert_eq!(large.unwrap_err().kind, types::Denial::LimitReached);
    let verify = keys::HostKey::verify(&mut view, again(), b"x".to_vec(), "vault:../x".to_owned());
    assert_eq!(
        verify.await.unwrap().unwrap_err().kind,
        types::Denial::InvalidArgument
    );
    let decrypt = keys::HostKey::decrypt(&mut view, again(), "plain".to_owned())
        .await
        .unwrap();
    assert_eq!(decrypt.unwrap_err().kind, types::Denial::InvalidArgument);
    // In scope, but this attempt has no authority.
    let sign = keys::HostKey::sign(&mut view, again(), b"x".to_vec())
        .await
        .unwrap();
    assert_eq!(sign.unwrap_err().kind, types::Denial::Internal);

    let lines = audit_lines(&folder);
    let last = &lines[lines.len() - 2..];
    assert_eq!(last[0]["target"], "transit/sign/invoices");
    assert_eq!(last[0]["decision"], "allowed");
    assert_eq!(last[1]["outcome"], "denied");
    assert_eq!(last[1]["reason"], "no_authority");
    let allowed = lines.iter().filter(|line| line["decision"] == "allowed");
    assert_eq!(allowed.count(), 1);
}

#[tokio::test]
async fn handles_are_limited() {
    let (attempt, _folder) = stage().attempt();
    let mut table = ResourceTable::new();
    table.set_max_capacity(1);
    let mut view = View {
        attempt: &attempt,
        table: &mut table,
    };
    let first = keys::Host::open(&mut view, "signer".to_owned())
        .await
        .unwrap();
    assert!(first.is_ok());
    let second = keys::Host::open(&mut view, "signer".to_owned())
        .await
        .unwrap();
    assert_eq!(second.unwrap_err().kind, types::Denial::LimitReached);
}

#[test]
fn tables_of_keys_and_reveal_are_strict() {
    use super::keys::KeysGrant;
    use super::reveal::RevealGrant;
    let keys = |table: &str| {
        toml::from_str::<KeysGrant>(table)
            .map(|_| ())
            .map_err(|it| it.message().to_owned())
    };
    let transit = "transit = { mount = \"transit\", key = \"k\" }\n";
    keys(&format!("{transit}allow = [\"sign\"]")).unwrap();
    for (table, expected) in [
        (format!("{transit}allow = []"), "`allow` is empty"),
        (format!("{transit}allow = [\"sign\", \"sign\"]"), "twice"),
        (
            format!("{transit}allow = [\"export\"]"),
            "unknown variant `export`",
        ),
        (
            format!("{transit}allow = [\"sign\"]\nx = 1"),
            "unknown field `x`",
        ),
        (
            "transit = { mount = \"transit\", key = \"a/b\" }\nallow = [\"sign\"]".to_owned(),
            "one segment",
        ),
    ] {
        let message = keys(&table).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
    let reveal = |table: &str| {
        toml::from_str::<RevealGrant>(table)
            .map(|_| ())
            .map_err(|it| it.message().to_owned())
    };
    let field = "credential = { kv1 = { mount = \"kv\", path = \"p\", field = \"f\" } }\n";
    reveal(&format!("{field}reason = \"legacy\"")).unwrap();
    for (table, expected) in [
        (format!("{field}reason = \" \""), "`reason` must say"),
        (field.to_owned(), "missing field `reason`"),
        (
            format!("{}reason = \"x\"", field.replace(", field = \"f\"", "")),
            "`credential.field` is missing",
        ),
    ] {
        let message = reveal(&table).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
}
