//! JWT and Kubernetes, and what stands in for GCP and Azure.

use std::time::Duration;

use cofferdam_devkit::identity::{Authority, Cluster, Issuer};
use cofferdam_devkit::proxy::Proxy;
use serde_json::json;

use super::host::Host;
use crate::guide::section;

const ISSUER: &str = "https://issuer.example.com";
const HERE: &str = "vault.example.com";
const HOUR: Duration = Duration::from_secs(3600);

/// Each JWT that must be refused, with a word for what is wrong with it.
fn bad(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let stranger = Issuer::new(ISSUER).unwrap();
    let impostor = Issuer::new("https://other.example.com").unwrap();
    let good = issuer.token(HERE, "worker-7", HOUR).unwrap();
    let (text, _) = good.rsplit_once('.').unwrap();
    vec![
        ("audience", issuer.token("other", "worker-7", HOUR).unwrap()),
        ("subject", issuer.token(HERE, "worker-8", HOUR).unwrap()),
        ("expired", issuer.expired_token(HERE, "worker-7").unwrap()),
        ("signature", stranger.token(HERE, "worker-7", HOUR).unwrap()),
        ("issuer", impostor.token(HERE, "worker-7", HOUR).unwrap()),
        ("unsigned", format!("{text}.")),
        ("garbage", "not-a-json-web-token".to_owned()),
    ]
}

#[tokio::test]
async fn a_jwt_as_the_page_says() {
    let host = Host::start().await;
    let issuer = Issuer::new(ISSUER).unwrap();
    host.write("issuer.pub.pem", &issuer.public_key_pem());
    host.write("host.jwt", &issuer.token(HERE, "worker-7", HOUR).unwrap());
    let config = host.follow("JWT");
    host.logs_in(&config).await;
    for (fault, jwt) in bad(&issuer) {
        host.write("host.jwt", &jwt);
        let hint = host.is_refused(&config, &[&jwt]).await;
        assert!(hint.contains("jwt_file"), "{fault}: {hint}");
    }
    // Its issuer writes a fresh one, and the next process logs in.
    host.write("host.jwt", &issuer.token(HERE, "worker-7", HOUR).unwrap());
    host.logs_in(&config).await;
}

/// *jwt* in their place: OpenBao has neither. It takes no notice of what Azure's
/// method wants to know of the machine, so the request itself is looked at.
#[tokio::test]
async fn gcp_and_azure_against_a_stand_in() {
    let machine = json!({
        "subscription_id": "00000000-0000-0000-0000-000000000000",
        "resource_group_name": "workers",
        "vm_name": "worker-7",
    });
    for (place, (method, machine)) in [("gcp", json!({})), ("azure", machine)]
        .into_iter()
        .enumerate()
    {
        let mut host = Host::start().await;
        let proxy = Proxy::start(host.bao.socket()).unwrap();
        host.common = format!("address = {:?}\n", proxy.address());
        let issuer = Issuer::new(ISSUER).unwrap();
        host.write("issuer.pub.pem", &issuer.public_key_pem());
        host.write(
            "machine.jwt",
            &issuer.token(HERE, "worker-7", HOUR).unwrap(),
        );
        host.sh(
            &section("JWT").shell[0]
                .replace("enable jwt", &format!("enable -path={method} jwt"))
                .replace("auth/jwt/", &format!("auth/{method}/")),
            &[],
        );
        let config = host.config(&section("GCP and Azure").settings[place]);
        host.logs_in(&config).await;
        let asked = proxy.passed().into_iter().zip(proxy.bodies());
        let path = format!("/v1/auth/{method}/login");
        let bodies: Vec<_> = asked.filter(|(it, _)| it.target == path).collect();
        let [(_, body)] = &bodies[..] else {
            panic!("one log-in")
        };
        let body: serde_json::Map<_, _> = serde_json::from_slice(body).unwrap();
        let jwt = std::fs::read_to_string(host.folder.path().join("machine.jwt")).unwrap();
        let mut wanted = machine.as_object().unwrap().clone();
        wanted.extend([
            ("role".to_owned(), json!("cofferdam-host")),
            ("jwt".to_owned(), json!(jwt)),
        ]);
        assert_eq!(body, wanted, "{method}");
        for (_, jwt) in bad(&issuer) {
            host.write("machine.jwt", &jwt);
            host.is_refused(&config, &[&jwt]).await;
        }
    }
}

#[tokio::test]
async fn kubernetes_as_the_page_says() {
    let host = Host::start().await;
    let issuer = Issuer::new("https://kubernetes.default.svc").unwrap();
    let cluster = Cluster::start("reviewer-token").unwrap();
    let pod = |space: &str, account: &str, audience: &str| {
        cluster.vouch(&issuer, space, account, audience).unwrap()
    };
    let good = pod("airflow", "cofferdam", HERE);
    host.write("pod.jwt", &good);
    host.write("reviewer.jwt", "reviewer-token");
    // Demanded by the method; the stand-in speaks plain http.
    host.write("cluster-ca.pem", &Authority::new("cluster").unwrap().pem());
    let address = cluster.address();
    let config = host.follow_with("Kubernetes", &[("KUBERNETES_URL", &address)]);
    host.logs_in(&config).await;

    // The cluster reviews nothing that it did not sign.
    let stranger = Issuer::new("https://kubernetes.default.svc").unwrap();
    for jwt in [
        pod("airflow", "other", HERE),
        pod("elsewhere", "cofferdam", HERE),
        pod("airflow", "cofferdam", "other"),
        Cluster::token(&stranger, "airflow", "cofferdam", HERE).unwrap(),
        // Even if the cluster still vouched for it.
        cluster
            .vouch_expired(&issuer, "airflow", "cofferdam", HERE)
            .unwrap(),
    ] {
        host.write("pod.jwt", &jwt);
        let hint = host.is_refused(&config, &[&jwt]).await;
        assert!(hint.contains("service-account"), "{hint}");
    }
}
