//! TCP connections as both ends of the service want them.

use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;

/// Questions without an answer after which nobody is there.
const UNANSWERED: u32 = 3;

/// Sends at once, and after so long a silence asks whether the other side is still
/// there. Where the system cannot do one of these, things are slower and nothing
/// worse.
pub(crate) fn prepare(stream: &TcpStream, silence: Duration) {
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, silence);
    let _ = sockopt::set_tcp_keepintvl(stream, silence);
    let _ = sockopt::set_tcp_keepcnt(stream, UNANSWERED);
}
