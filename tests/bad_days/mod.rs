//! Bad days: Vault, the network, the clock or somebody with a kill signal does
//! the worst between the real host and a real server, and a day ends well when
//! nothing lives that the report did not name, nothing took long, and no secret
//! stands in anything that was printed or written (`day::Day::over`).
//!
//! Each case makes sure that its fault was injected. Where to find them:
//!
//! | bad day | here | and elsewhere |
//! |---|---|---|
//! | sealed in the middle of a run | `seal` | sealed before it: `lifecycle::trouble`, `login::nodes` |
//! | killed and restarted | `restart` | killed for good: `lifecycle::trouble` |
//! | one node down, both down | `nodes` | nodes that answer nonsense: `login::nodes` |
//! | 429 for ten seconds | `storms` | a wish that is honoured: `login::nodes` |
//! | 503 flapping | `storms` | single ones: `vault::faults` |
//! | storms of 403 | `refusals` | a refusal is no death: `login::life` |
//! | renewal refused for ever | `silence` | `login::life`, `leases::renewal`; the schedule by unit tests of `vault::schedule` |
//! | the log-in revoked under us | `parent`, `refusals` | `vault::closing`, `login::life` |
//! | an answer cut in half | `answers` | answers lost whole: `vault::faults` |
//! | an answer of 100 MB | `answers` | an endless one: `lifecycle::trouble` |
//! | accepts and never answers | `silence` | `lifecycle::trouble`, `login::nodes` |
//! | TLS of the wrong name | `tls` | `login::certificates` |
//! | the host's clock two hours off | `clock`, `tls` | |
//! | the database down at revocation | `silence` | `leases::trouble` |
//! | cancelled, or out of time, while Vault is slow to give an authority | `opening` | |
//! | a thousand attempts end together | `thousand` | |
//! | SIGKILL at fifty moments | `kills` | at every request: `lifecycle::kills` |

mod answers;
mod clock;
mod day;
mod kills;
mod nodes;
mod opening;
mod parent;
mod refusals;
mod restart;
mod seal;
mod silence;
mod storms;
mod thousand;
mod tls;
