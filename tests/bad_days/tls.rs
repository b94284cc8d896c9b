//! The server's certificate does not fit: it has another name, or its time is
//! not this host's.

use std::process::Stdio;

use cofferdam_devkit::clock::Skew;
use cofferdam_devkit::identity::Authority;
use cofferdam_devkit::openbao::{DevOptions, OpenBao};
use cofferdam_devkit::process::write_private;

use super::day::{Day, call};

/// What the certificate names.
const NAME: &str = "vault.example.com";

#[tokio::test]
async fn a_certificate_of_another_name_or_time_gets_no_request() {
    let authority = Authority::new("servers").unwrap();
    let server = authority.server_for_an_hour(&[NAME]).unwrap();
    let bao = OpenBao::start_dev(DevOptions {
        tls: Some((server.certificate, server.key)),
        ..DevOptions::default()
    })
    .unwrap();
    let day = Day::with(bao, "").await;
    write_private(&day.world.path("ca.pem"), &authority.pem()).unwrap();
    let address = [day.bao().tls_address().unwrap()];
    let named = format!("ca_file = \"ca.pem\"\ntls_server_name = \"{NAME}\"");
    let skew = Skew::new().unwrap();
    let asked = || day.bao().answers().unwrap().len();
    let before = asked();

    // The address is no name of the certificate, and neither is this one.
    for lines in [
        "ca_file = \"ca.pem\"",
        "ca_file = \"ca.pem\"\ntls_server_name = \"x.example.com\"",
    ] {
        day.vault_at(&address, lines);
        let ended = day.run(&[call()]);
        assert_eq!(ended.code, 4, "{ended:?}");
        let told = ended.refusal();
        assert!(
            told.contains("does not name it") && told.contains("tls_server_name"),
            "{told}"
        );
    }
    // Two hours ahead it is expired, two hours behind it is not valid yet.
    day.vault_at(&address, &named);
    for seconds in [7_200, -7_200] {
        let mut command = day.command(&[call()]);
        skew.apply(command.stdin(Stdio::null()), seconds);
        let ended = day.end_command(command);
        assert_eq!(ended.code, 4, "{ended:?}");
        let told = ended.refusal();
        assert!(
            told.contains("at this host's time") && told.contains("clock"),
            "{told}"
        );
    }
    assert_eq!(asked(), before, "no request came through");
    // The same server with the right name at the right time is a good one.
    let ended = day.run(&[call()]);
    assert_eq!((ended.code, ended.unrevoked()), (0, None), "{ended:?}");
    assert!(asked() > before);
    day.over().await;
}
