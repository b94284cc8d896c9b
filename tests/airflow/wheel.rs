//! The program as a wheel: all that a worker without a service needs.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use cofferdam_devkit::process::private_folder;
use cofferdam_devkit::tools::{self, workspace};

use super::Trials;
use crate::common::binary;
use crate::guide::section_of;

pub(super) fn trials(trials: &mut Trials) {
    trials.by_itself(
        "wheel::a_clean_environment_has_the_program",
        has_the_program,
    );
}

fn run(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace());
    command.env_remove("COFFERDAM_BINARY");
    command.envs(environment.iter().copied()).output().unwrap()
}

fn must(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = run(program, arguments, environment);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn has_the_program() {
    let folder = private_folder("wheel").unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_string_lossy().into_owned();
    must(Path::new("python3"), &["-m", "venv", &text("v")], &[]);
    let python = path("v/bin/python3");
    let (dist, program) = (text("dist"), binary().to_string_lossy().into_owned());
    let wheel = [
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--wheel-dir",
        &dist,
    ];
    let host = [&wheel[..], &["./airflow-provider/host"]].concat();
    let refused = run(&python, &host, &[]);
    assert!(!refused.status.success(), "a wheel without a program");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("COFFERDAM_BINARY names no program"), "{told}");
    must(&python, &host, &[("COFFERDAM_BINARY", &program)]);
    must(
        &python,
        &[&wheel[..], &["./airflow-provider"]].concat(),
        &[],
    );

    // Nothing but what was just made: everything else is Airflow's, which is lent.
    lend_airflow(&path("v"));
    let install = [
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "--find-links",
        &dist,
    ];
    let both = ["airflow-provider-cofferdam[host]"];
    must(&python, &[&install[..], &both].concat(), &[]);
    let installed = std::fs::read(path("v/bin/cofferdam")).unwrap();
    assert!(
        installed == std::fs::read(binary()).unwrap(),
        "another program"
    );
    let version = must(&path("v/bin/cofferdam"), &["--version"], &[]);
    assert_eq!(
        version.trim(),
        concat!("cofferdam ", env!("CARGO_PKG_VERSION"))
    );

    // The extra `host` asks for this very version, and the provider finds the program.
    let asks = "import importlib.metadata as m; \
                print(m.requires('airflow-provider-cofferdam'))";
    let asked = must(&python, &["-c", asks], &[]);
    let host = concat!(
        "cofferdam-host==",
        env!("CARGO_PKG_VERSION"),
        "; extra == 'host'"
    );
    assert!(asked.replace('"', "'").contains(host), "{asked}");
    let finds = "from airflow_provider_cofferdam.runner.binary import find_binary; \
                 from airflow_provider_cofferdam.settings import Settings; \
                 print(find_binary(Settings()))";
    let found = must(&python, &["-c", finds], &[("PATH", "/usr/bin:/bin")]);
    assert_eq!(found.trim(), text("v/bin/cofferdam"), "{found}");
    type_the_page(folder.path());
}

/// Puts the Airflow of the other tests into this environment, which spares an installation of
/// 300 MB. Its own program would use its own interpreter.
fn lend_airflow(environment: &Path) {
    let inside = |environment: &Path| {
        let versions = std::fs::read_dir(environment.join("lib")).unwrap();
        let version = versions.map(|it| it.unwrap().path()).next().unwrap();
        version.join("site-packages")
    };
    let lender = tools::airflow().unwrap();
    let theirs = inside(lender.parent().unwrap());
    let line = format!("{}\n", theirs.display());
    std::fs::write(inside(environment).join("airflow.pth"), line).unwrap();
    let program = environment.join("bin/airflow");
    let python = environment.join("bin/python3");
    let text = format!("#!/bin/sh\nexec {} -m airflow \"$@\"\n", python.display());
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
}

/// docs/AIRFLOW.md, on a laptop: its blocks after the installation, as they stand there.
fn type_the_page(folder: &Path) {
    let page = section_of("AIRFLOW.md", "On a laptop, with the local binary");
    let ([_, component, try_it], [dag]) = (&page.shell[..], &page.python[..]) else {
        panic!("{page:?}")
    };
    let laptop = folder.join("laptop").display().to_string();
    let here = |block: &str| {
        let block = block.replace("$PWD/laptop", &laptop);
        block.replace(" laptop/", &format!(" {laptop}/"))
    };
    let path = format!(
        "{}/v/bin:{}",
        folder.display(),
        std::env::var("PATH").unwrap()
    );
    let typed = |block: &str| {
        let mut shell = Command::new("sh");
        shell
            .args(["-e", "-c", &here(block)])
            .current_dir(workspace());
        shell.env_remove("COFFERDAM_BINARY").env("PATH", &path);
        let done = shell.output().unwrap();
        assert!(done.status.success(), "{block}\n{done:?}");
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
    };
    typed(component);
    std::fs::write(format!("{laptop}/dags/hello.py"), dag).unwrap();
    let told = typed(try_it);
    for words in ["> greeting Ada", "nothing to revoke", "outcome=done"] {
        assert!(told.contains(words), "no {words:?} in {told}");
    }
}
