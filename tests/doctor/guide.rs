//! docs/VAULT.md, as it is written: what an administrator types once.

use crate::common::sweep;
use crate::guide::{section, type_in};

use super::clinic::{clinic, reviewed};

#[tokio::test]
async fn the_page_writes_all_that_the_host_and_its_tasks_need() {
    let page = section("Once, for every log-in");
    let [block] = page.shell.as_slice() else {
        panic!("{page:?}")
    };
    let world = clinic().await;
    let bao = world.bao().unwrap();
    for path in [
        "sys/policies/acl/cofferdam-host",
        "sys/policies/acl/cofferdam-task-caller",
        "sys/policies/acl/cofferdam-task-sealer",
        "auth/token/roles/cofferdam",
    ] {
        let (status, _) = bao.root("DELETE", path, None).await.unwrap();
        assert_eq!(status, 204, "{path}");
    }
    // The control: nothing of it is there, not even the right to log out.
    assert_ne!(reviewed(&world).code, 0);

    type_in(world.folder(), bao, block, &[]);
    let (code, report) = sweep(&world);
    assert_eq!(code, 0, "{report}");
    let examined = reviewed(&world);
    assert_eq!(examined.code, 0, "{:?}", examined.report);
}
