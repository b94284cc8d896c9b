//! JWT and Kubernetes, and what stands in for GCP and Azure.

use std::time::Duration;

use cofferdam_devkit::identity::{Cluster, Issuer};

use super::guide::section;
use super::host::Host;

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

/// *jwt* in their place: OpenBao has neither.
#[tokio::test]
async fn gcp_and_azure_against_a_stand_in() {
    for (place, method) in ["gcp", "azure"].into_iter().enumerate() {
        let host = Host::start().await;
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
        for (_, jwt) in bad(&issuer) {
            host.write("machine.jwt", &jwt);
            host.is_refused(&config, &[&jwt]).await;
        }
    }
}

#[tokio::test]
async fn kubernetes_as_the_page_says() {
    let host = Host::start().await;
    // What a pod's token looks like to Vault before the cluster is asked.
    let issuer = Issuer::new("https://kubernetes.default.svc").unwrap();
    let pod = |audience: &str, account: &str| {
        let subject = format!("system:serviceaccount:airflow:{account}");
        issuer.token(audience, &subject, HOUR).unwrap()
    };
    let cluster = Cluster::start("reviewer-token").unwrap();
    let good = pod(HERE, "cofferdam");
    cluster.vouch(&good, "airflow", "cofferdam", HERE);
    host.write("pod.jwt", &good);
    host.write("reviewer.jwt", "reviewer-token");
    let address = cluster.address();
    let config = host.follow_with("Kubernetes", &[("KUBERNETES_URL", &address)]);
    host.logs_in(&config).await;

    let other_account = pod(HERE, "other");
    cluster.vouch(&other_account, "airflow", "other", HERE);
    let other_space = pod(HERE, "cofferdam-2");
    cluster.vouch(&other_space, "elsewhere", "cofferdam", HERE);
    let other_audience = pod("other", "cofferdam");
    cluster.vouch(&other_audience, "airflow", "cofferdam", "other");
    let unknown = pod(HERE, "unknown");
    for jwt in [other_account, other_space, other_audience, unknown] {
        host.write("pod.jwt", &jwt);
        let hint = host.is_refused(&config, &[&jwt]).await;
        assert!(hint.contains("service-account"), "{hint}");
    }
}
