//! The example DAGs, as they are shipped.

use cofferdam_devkit::airflow::Instance;
use serde_json::{Value, json};

use super::Trials;
use super::site::{LONG, Site};

pub(super) fn trials(trials: &mut Trials) {
    trials.add("examples::billing", billing);
    trials.add("examples::examples", examples);
    trials.add("examples::examples_mapped", examples_mapped);
    trials.add("examples::examples_retry", examples_retry);
}

/// A run of a DAG that succeeded.
struct Ran<'a> {
    site: &'a Site,
    dag: &'static str,
    run: String,
    steps: Vec<Instance>,
}

impl<'a> Ran<'a> {
    async fn of(site: &'a Site, dag: &'static str) -> Self {
        let api = site.airflow.api();
        let run = api.trigger(dag, json!({})).await.unwrap();
        let state = api.ended(dag, &run, LONG).await.unwrap();
        let steps = api.instances(dag, &run).await.unwrap();
        let ran = Self {
            site,
            dag,
            run,
            steps,
        };
        assert_eq!(state, "success", "{}", ran.log().await);
        assert_eq!(site.living(&ran.run).await, 0);
        ran
    }

    /// What its tasks wrote in their last tries.
    async fn log(&self) -> String {
        let mut log = String::new();
        for step in &self.steps {
            let (index, number) = (step.map_index(), step.try_number());
            let task = step.field("task_id").as_str().unwrap();
            let lines = (self.site.airflow.api())
                .log(self.dag, &self.run, task, index, number)
                .await;
            log.push_str(&Value::Array(lines.unwrap()).to_string());
        }
        log
    }

    async fn result(&self, task: &str, map_index: i64) -> String {
        let api = self.site.airflow.api();
        let value = api.xcom(self.dag, &self.run, task, map_index, "return_value");
        value.await.unwrap().to_string()
    }
}

async fn billing(site: &Site) {
    let ran = Ran::of(site, "billing").await;
    let told = ran.result("tell", -1).await;
    assert!(told.contains("invoices posted as"), "{told}");
    let log = ran.log().await;
    for words in ["http.billing", "every credential revoked"] {
        assert!(log.contains(words), "{log}");
    }
    let minted = site.world.bao().unwrap().answers().unwrap();
    let of_run = |line: &Value| line.to_string().contains(&ran.run);
    assert!(minted.iter().any(of_run), "Vault's audit names the run");
}

async fn examples(site: &Site) {
    let ran = Ran::of(site, "examples").await;
    let told = ran.result("tell", -1).await;
    assert!(told.contains("Ada"), "{told}");
    assert!(ran.log().await.contains("greeting"));
}

async fn examples_mapped(site: &Site) {
    let ran = Ran::of(site, "examples_mapped").await;
    for (index, name) in ["Ada", "Grace", "Katherine"].iter().enumerate() {
        let index = index.try_into().unwrap();
        let said = ran.result("greet", index).await;
        assert!(said.contains(name), "{said}");
        let log = (site.airflow.api()).log(ran.dag, &ran.run, "greet", index, 1);
        let log = Value::Array(log.await.unwrap()).to_string();
        assert!(log.contains(&format!("greeting {name}")), "{log}");
    }
}

async fn examples_retry(site: &Site) {
    let ran = Ran::of(site, "examples_retry").await;
    let [step] = &ran.steps[..] else {
        panic!("one task: {:#?}", ran.steps);
    };
    assert_eq!(step.try_number(), 2, "the first try asks for another");
    let first = (site.airflow.api()).log(ran.dag, &ran.run, "wait_for_it", -1, 1);
    let first = Value::Array(first.await.unwrap()).to_string();
    assert!(first.contains("asks to be tried again"), "{first}");
    assert!(ran.result("wait_for_it", -1).await != "null");
}
