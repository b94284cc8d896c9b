//! docs/OPERATE.md, as it is written: root types its blocks, from nothing to a service that
//! runs, is watched, reloaded and upgraded.

mod machine;
mod page;
mod systemd;
