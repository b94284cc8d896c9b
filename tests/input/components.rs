//! Components that are none, or not the right ones.

use super::Desk;
use crate::common::guest;

/// A component with these imports that exports `run`, or does not.
fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

const NO_RUN: &str = r#"(component (core module $m (func (export "f")))
    (core instance $i (instantiate $m)) (func (export "other") (canon lift (core func $i "f"))))"#;
const FOREIGN: &str = r#"(component
    (import "acme:storage/files@1.0.0" (instance (export "open" (func)))))"#;
const FILES: &str = r#"(component
    (import "wasi:sockets/tcp@0.2.0" (instance (export "open" (func)))))"#;

#[tokio::test]
async fn a_component_that_does_not_fit_is_refused_before_any_mint() {
    let mut desk = Desk::new().await;
    let good = std::fs::read(guest("probe-http")).unwrap();
    let mut changed = good.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let module = b"\0asm\x01\0\0\0".to_vec();
    for (name, bytes, code) in [
        ("an empty file", Vec::new(), 2),
        ("text", b"(component)".to_vec(), 2),
        ("random bytes", vec![0xa5; 4096], 2),
        ("a core module", module, 2),
        ("cut in the middle", component(NO_RUN)[..40].to_vec(), 2),
        ("without run", component(NO_RUN), 2),
        ("a foreign import", component(FOREIGN), 2),
        ("sockets", component(FILES), 2),
    ] {
        let path = desk.world.path("bad.wasm");
        std::fs::write(&path, bytes).unwrap();
        let grants = crate::common::api("http://127.0.0.1:1");
        desk.world.task("hello", &path, &grants).unwrap();
        desk.run(name, code);
    }
    // One changed byte, with the digest of the good one.
    desk.reset();
    let path = desk.world.path("bad.wasm");
    std::fs::write(&path, changed).unwrap();
    desk.change(
        guest("probe-http").to_str().unwrap(),
        path.to_str().unwrap(),
    );
    desk.run("one changed byte", 3);
    desk.change(path.to_str().unwrap(), "missing.wasm");
    desk.run("a missing file", 2);
    desk.change("missing.wasm", "grants");
    desk.run("a folder", 2);

    // It imports what its grants do not name.
    desk.world
        .task(
            "hello",
            &guest("probe-reveal"),
            &crate::common::api("http://127.0.0.1:1"),
        )
        .unwrap();
    desk.run("an import that is not granted", 3);
    desk.close("components").await;
}
