//! Every way to log in, set up as docs/VAULT.md says and refused in each way
//! in which the server can refuse.

mod certificates;
mod guide;
mod host;
mod jwts;
mod life;
mod nodes;
mod passwords;
