//! Compiled code that somebody else wrote is never run.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use cofferdam_devkit::world::World;
use serde_json::json;

use crate::common::{binary, guest};

fn entries(world: &World) -> Vec<PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(world.path("cache"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    entries
}

/// A good run, and whether it found a cache entry that it does not trust.
fn distrusts(world: &World, task: &str) -> bool {
    let finished = world
        .run(task)
        .input(json!({"do": "echo", "value": 7}))
        .finish()
        .unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    assert_eq!(finished.result().unwrap(), 7);
    finished
        .stderr
        .contains("was not written by this host; compiling anew")
}

#[test]
fn a_changed_swapped_or_planted_entry_is_compiled_anew() {
    let world = World::bare(binary()).unwrap().cold();
    world.task("one", &guest("probe"), "").unwrap();
    world
        .task(
            "two",
            &guest("probe-keys"),
            "[keys.signer]\ntransit = { mount = \"transit\", key = \"k\" }\nallow = [\"sign\"]\n",
        )
        .unwrap();
    assert!(!distrusts(&world, "one"));
    let [one] = entries(&world).try_into().unwrap();
    let good = std::fs::read(&one).unwrap();
    assert!(!distrusts(&world, "one"), "its own entry is trusted");

    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    for (name, bytes) in [
        ("a flipped bit in the code", flipped(good.len() / 2)),
        ("a flipped bit in the tag", flipped(0)),
        ("cut", good[..good.len() - 1].to_vec()),
        ("longer", [good.as_slice(), b"x"].concat()),
        ("a tag alone", good[..32].to_vec()),
        ("another tag", [[0; 32].as_slice(), &good[32..]].concat()),
    ] {
        std::fs::write(&one, bytes).unwrap();
        assert!(distrusts(&world, "one"), "{name}");
        assert_eq!(
            std::fs::read(&one).unwrap().len(),
            good.len(),
            "{name}: written anew"
        );
        assert!(!distrusts(&world, "one"), "{name}");
    }
    // Too short for a tag: nothing to judge, so it is compiled anew in silence.
    std::fs::write(&one, b"short").unwrap();
    assert!(!distrusts(&world, "one"));
    assert_eq!(std::fs::read(&one).unwrap().len(), good.len());

    // An entry of another component, with its own good tag, under this name.
    let other = World::bare(binary()).unwrap().cold();
    other
        .task(
            "one",
            &guest("probe-http"),
            "[http.api]\nbase = \"https://a.example.com/\"\nallow = [\"GET x\"]\n",
        )
        .unwrap();
    std::fs::create_dir(other.path("state")).unwrap();
    std::fs::set_permissions(other.path("state"), PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::copy(world.path("state/cache.key"), other.path("state/cache.key")).unwrap();
    assert!(!distrusts(&other, "one"));
    let [foreign] = entries(&other).try_into().unwrap();
    std::fs::copy(&foreign, &one).unwrap();
    assert!(
        distrusts(&world, "one"),
        "the tag is over the component's digest too"
    );

    // Through a link: what counts is the tag.
    std::fs::remove_file(&one).unwrap();
    symlink(&foreign, &one).unwrap();
    assert!(distrusts(&world, "one"));
}

#[test]
fn a_folder_or_key_that_others_can_use_is_refused() {
    let world = World::bare(binary()).unwrap().cold();
    world.task("one", &guest("probe"), "").unwrap();
    assert!(!distrusts(&world, "one"));
    for (name, mode) in [
        ("cache", 0o770),
        ("state", 0o701),
        ("state/cache.key", 0o644),
    ] {
        let before = std::fs::metadata(world.path(name)).unwrap().permissions();
        std::fs::set_permissions(world.path(name), PermissionsExt::from_mode(mode)).unwrap();
        let finished = world
            .run("one")
            .input(json!({"do": "env"}))
            .finish()
            .unwrap();
        assert_eq!(finished.code, 2, "{name}: {finished:?}");
        assert!(finished.stderr.contains(name), "{name}: {finished:?}");
        std::fs::set_permissions(world.path(name), before).unwrap();
        assert!(!distrusts(&world, "one"));
    }
}
