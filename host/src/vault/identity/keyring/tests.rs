use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::diagnostic::Diagnostic;

fn ring() -> (tempfile::TempDir, Keyring) {
    let state = tempfile::tempdir().unwrap();
    let ring = Keyring::new(None, state.path());
    (state, ring)
}

fn kids(ring: &Keyring) -> Vec<String> {
    let keys = ring.public_keys().unwrap().keys;
    keys.iter().map(|key| key.kid().to_owned()).collect()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_key_is_made_once_and_for_its_owner() {
    let (state, ring) = ring();
    let first = kids(&ring);
    assert_eq!(first.len(), 1);
    assert_eq!(kids(&ring), first);
    assert_eq!(kids(&Keyring::new(None, state.path())), first);
    let folder = state.path().join("identity");
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("key.pem")), 0o600);
}

#[test]
fn many_at_once_agree_on_one_key() {
    let (_state, ring) = ring();
    let kids: Vec<String> = std::thread::scope(|scope| {
        let made: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| ring.active().unwrap().public().kid().to_owned()))
            .collect();
        made.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
}

#[test]
fn a_staged_key_is_known_before_it_signs_and_an_old_one_after() {
    let (_state, ring) = ring();
    let old = ring.active().unwrap().public().kid().to_owned();
    let next = ring.stage().unwrap().kid().to_owned();
    assert_eq!(ring.stage().unwrap().kid(), next, "staged once");
    assert_eq!(ring.active().unwrap().public().kid(), old);
    assert_eq!(kids(&ring), [old.clone(), next.clone()]);

    assert_eq!(ring.rotate(Replaced::Retires).unwrap().kid(), next);
    assert_eq!(ring.active().unwrap().public().kid(), next);
    assert_eq!(kids(&ring), [next.clone(), old]);

    // Without a staged key, and forgetting all that was.
    let third = ring.rotate(Replaced::Forgotten).unwrap().kid().to_owned();
    assert_ne!(third, next);
    assert_eq!(kids(&ring), [third]);
}

#[test]
fn a_retired_key_leaves_when_its_time_is_over() {
    let (state, ring) = ring();
    ring.rotate(Replaced::Retires).unwrap();
    assert_eq!(kids(&ring).len(), 2);
    let path = state.path().join("identity/retired.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("PRIVATE") && text.contains("\"until\""));
    let mut retired: Vec<Retired> = serde_json::from_str(&text).unwrap();
    retired[0].until = Timestamp::now() - Duration::from_secs(1);
    std::fs::write(&path, json(&retired).unwrap()).unwrap();
    assert_eq!(kids(&ring).len(), 1);
    std::fs::write(&path, "garbage").unwrap();
    assert!(matches!(
        ring.public_keys(),
        Err(IdentityKeyError::Retired { .. })
    ));
}

/// Killed after the old key was noted and before the rename.
#[test]
fn a_rotation_that_was_cut_loses_no_key() {
    let (state, ring) = ring();
    let old = ring.active().unwrap().public().clone();
    ring.stage().unwrap();
    let noted = [Retired {
        key: old.clone(),
        until: Timestamp::now() + RETIREMENT,
    }];
    let path = state.path().join("identity/retired.json");
    std::fs::write(&path, json(&noted).unwrap()).unwrap();
    let keys = kids(&ring);
    assert_eq!((keys.len(), keys[0].as_str()), (2, old.kid()));
    ring.rotate(Replaced::Retires).unwrap();
    assert_eq!(kids(&ring).len(), 2, "the old one is listed once");
}

#[test]
fn the_operators_key_is_read_and_never_replaced() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("own.pem");
    std::fs::write(&file, SigningKey::generate().unwrap().as_bytes()).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let ring = Keyring::new(Some(&file), state.path());
    assert_eq!(kids(&ring).len(), 1);
    for refused in [ring.stage(), ring.rotate(Replaced::Retires)] {
        let error = refused.unwrap_err();
        assert!(matches!(error, IdentityKeyError::Operators { .. }));
        assert!(error.hint().unwrap().contains("key_file"));
    }
    assert!(!state.path().join("identity").exists());

    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    let error = ring.public_keys().unwrap_err();
    assert!(error.hint().unwrap().contains("chmod 600"), "{error}");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&file, "-----BEGIN PRIVATE KEY-----\nhunter2hunter2\n").unwrap();
    let error = ring.public_keys().unwrap_err();
    assert!(matches!(error, IdentityKeyError::Malformed { .. }));
    assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("hunter2"));
}

#[test]
fn a_folder_that_others_can_use_is_refused() {
    let (state, ring) = ring();
    ring.active().map(|_| ()).unwrap();
    let folder = state.path().join("identity");
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o750)).unwrap();
    assert!(matches!(
        ring.active().map(|_| ()),
        Err(IdentityKeyError::UnsafeFolder { .. })
    ));
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::set_permissions(state.path(), PermissionsExt::from_mode(0o777)).unwrap();
    assert!(matches!(
        ring.rotate(Replaced::Retires),
        Err(IdentityKeyError::UnsafeFolder { .. })
    ));
}

#[test]
fn several_keys_are_one_text_that_both_kinds_of_reader_take() {
    let (_state, ring) = ring();
    ring.stage().unwrap();
    let pem = ring.public_keys().unwrap().pem();
    let parts: Vec<&str> = pem.split(',').collect();
    assert_eq!(parts.len(), 2);
    for part in parts {
        assert!(
            part.trim_start()
                .starts_with("-----BEGIN PUBLIC KEY-----\n")
        );
    }
    assert!(!pem.contains("PRIVATE"));
}
