//! A hostile HTTP API: it reflects what it got in every spelling, redirects,
//! floods, drips and lies about lengths. It records each request, so that a
//! test can show that a credential was really sent before it shows that
//! nothing came back.
//!
//! "The request" below is its head and body, byte for byte.
//!
//! | path | answer |
//! |---|---|
//! | `/reflect/ENCODING?split=N&status=S` | the request as body, in an [`Encoding`]; in chunks of N bytes; with status S |
//! | `/reflect-header/ENCODING` | the request in the header `x-reflected` |
//! | `/reflect-header-name` | the last word of `authorization` as a header's name |
//! | `/reflect-reason` | the `authorization` header as reason phrase |
//! | `/trailers` | the `authorization` header as a trailer |
//! | `/set-cookie` | the `authorization` header in a cookie |
//! | `/206`, `/multipart-ranges` | the request as partial content |
//! | `/encoding/NAME` | the request under a content encoding that it has not |
//! | `/redirect?to=URL&code=S` | a redirect (307 by default) |
//! | `/status/S` | an empty body with status S |
//! | `/big/N` | N bytes |
//! | `/bomb/N` | N zero bytes under gzip |
//! | `/slow?pieces=N&pause=MS` | N bytes, one every MS milliseconds |
//! | `/short` | fewer bytes than announced |
//! | `/never` | nothing, for ever |
//! | `/held` | an empty body with status 200, once [`Upstream::release`] was called |

mod encoding;
mod routes;
mod server;

pub use encoding::Encoding;
pub use server::{Recorded, Upstream};
