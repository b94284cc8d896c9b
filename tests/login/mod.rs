//! Every way to log in, set up as docs/VAULT.md says and refused in each way
//! in which the server can refuse.

mod borders;
mod certificates;
mod clouds;
mod command;
mod ended;
mod host;
mod jwts;
mod lent;
mod life;
mod nodes;
mod passwords;
mod people;
mod rotated;
mod watchers;
