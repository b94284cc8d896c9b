//! Servers of ours that speak the protocol and lie (THREATS: a rogue server).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam_devkit::postgres::{Options, Postgres};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::super::postgres::{Fault, Login, Place, Session, Target, Tls, Unconnected, connect};
use crate::capability::bindings::cofferdam::capabilities::sql::ConnectionError;
use crate::lock::Mutex;
use crate::secret::Secret;

const PASSWORD: &str = "canary-5d1c9e0fb2a74763";

/// A server, and all that it was sent.
struct Rogue {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Rogue {
    /// Says this after the first message, and then reads on.
    async fn saying(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut first = [0; 4_096];
                let length = stream.read(&mut first).await.unwrap_or(0);
                seen.lock().extend_from_slice(&first[..length]);
                let _ = stream.write_all(&answer).await;
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
                seen.lock().extend_from_slice(&rest);
            }
        });
        Self { address, sent }
    }

    async fn refuses(&self, tls: Option<Tls>) -> Unconnected {
        let password = Secret::new(PASSWORD);
        let login = Login {
            user: "v-user",
            password: &password,
        };
        let target = target(self.address, tls);
        let connecting = connect(&target, login);
        let refused = timeout(Duration::from_secs(20), connecting).await.unwrap();
        refused.err().unwrap()
    }

    /// Waits for what the client said last, and looks for the password in it.
    async fn saw_no_password(&self) -> Vec<u8> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let sent = self.sent.lock().clone();
        let found = sent
            .windows(PASSWORD.len())
            .any(|it| it == PASSWORD.as_bytes());
        assert!(!found, "{}", String::from_utf8_lossy(&sent));
        sent
    }
}

fn target(address: SocketAddr, tls: Option<Tls>) -> Target {
    Target {
        place: Place::Addresses(Arc::new([address])),
        tls,
        database: "app".to_owned(),
        options: String::new(),
        max_message: 64 << 10,
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

fn asks(method: u32, data: &[u8]) -> Vec<u8> {
    message(b'R', &[&method.to_be_bytes()[..], data].concat())
}

fn untrusting() -> Tls {
    let settings =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
    Tls {
        settings: Arc::new(settings),
        name: ServerName::try_from("127.0.0.1").unwrap(),
    }
}

#[tokio::test]
async fn no_password_goes_to_a_server_that_asks_for_it() {
    for (what, answer, reason, scram) in [
        (
            "clear text",
            asks(3, b""),
            "server_asks_for_password",
            false,
        ),
        ("md5", asks(5, b"salt"), "server_asks_for_password", false),
        ("kerberos", asks(2, b""), "server_asks_for_password", false),
        ("gss", asks(7, b""), "server_asks_for_password", false),
        ("nothing", asks(0, b""), "server_unproven", false),
        (
            "work",
            [
                asks(10, b"SCRAM-SHA-256\0\0"),
                asks(11, b"r=x,s=c2FsdA==,i=2000000000"),
            ]
            .concat(),
            "server_scram_iterations",
            true,
        ),
        (
            "hardly any work",
            [
                asks(10, b"SCRAM-SHA-256\0\0"),
                asks(11, b"r=x,s=c2FsdA==,i=1"),
            ]
            .concat(),
            "server_scram_iterations",
            true,
        ),
        (
            "another mechanism",
            asks(10, b"PLAIN\0\0"),
            "server_unproven",
            false,
        ),
        // Says both at once: the second must not slip in behind the first.
        (
            "two minds",
            [asks(10, b"SCRAM-SHA-256\0\0"), asks(3, b"")].concat(),
            "server_protocol",
            true,
        ),
    ] {
        let rogue = Rogue::saying(answer).await;
        let refused = rogue.refuses(None).await;
        assert_eq!(refused.reason, reason, "{what}");
        let sent = rogue.saw_no_password().await;
        // It was a log-in that was refused, and not a byte followed it, unless
        // SCRAM was begun: a hashed password could be tried out elsewhere.
        assert!(sent.windows(6).any(|it| it == b"v-user"), "{what}");
        let first = u32::from_be_bytes(sent[..4].try_into().unwrap()) as usize;
        assert!(scram || sent.len() == first, "{what}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_it_is_refused() {
    for (what, answer, error, reason) in [
        (
            "http",
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            ConnectionError::Protocol,
            "server_protocol",
        ),
        (
            "noise",
            vec![0xff; 100],
            ConnectionError::Protocol,
            "server_protocol",
        ),
        (
            "a shut door",
            message(b'E', b"SFATAL\0C53300\0Mtoo many connections\0\0"),
            ConnectionError::Connect,
            "server_refused_session",
        ),
        (
            "an unknown user",
            message(b'E', b"SFATAL\0C28P01\0Mno\0\0"),
            ConnectionError::Authentication,
            "server_refused_user",
        ),
    ] {
        let rogue = Rogue::saying(answer).await;
        let refused = rogue.refuses(None).await;
        assert_eq!((refused.error, refused.reason), (error, reason), "{what}");
        rogue.saw_no_password().await;
    }
}

#[tokio::test]
async fn without_tls_nothing_is_said() {
    for (what, answer, reason) in [
        ("no", b"N".to_vec(), "server_without_tls"),
        // What 2021's man in the middle did: words of his own before the handshake.
        (
            "yes, and more",
            [b"S".to_vec(), asks(0, b""), message(b'Z', b"I")].concat(),
            "tls_handshake",
        ),
        (
            "an error",
            message(b'E', b"SFATAL\0\0"),
            "server_without_tls",
        ),
    ] {
        let rogue = Rogue::saying(answer).await;
        let refused = rogue.refuses(Some(untrusting())).await;
        assert_eq!(refused.reason, reason, "{what}");
        let sent = rogue.saw_no_password().await;
        assert!(!sent.windows(6).any(|it| it == b"v-user"), "{what}");
        assert_eq!(sent[..8], [0, 0, 0, 8, 4, 210, 22, 47], "{what}");
    }
}

/// Stands before a real server until the log-in is over, and from then on
/// answers each message with the next lie.
async fn behind_a_log_in(postgres: &Postgres, lies: Vec<Vec<u8>>) -> Session {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let real = postgres.socket();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(real).await.unwrap();
        let (mut from_client, mut from_server) = ([0; 4_096], [0; 4_096]);
        loop {
            tokio::select! {
                length = client.read(&mut from_client) => {
                    let length = length.unwrap();
                    server.write_all(&from_client[..length]).await.unwrap();
                }
                length = server.read(&mut from_server) => {
                    let said = &from_server[..length.unwrap()];
                    client.write_all(said).await.unwrap();
                    if said.ends_with(&message(b'Z', b"I")) {
                        break;
                    }
                }
            }
        }
        for lie in lies {
            let _ = client.read(&mut from_client).await;
            let _ = client.write_all(&lie).await;
        }
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest).await;
    });
    let password = Secret::new(postgres.password());
    let login = Login {
        user: Postgres::SUPERUSER,
        password: &password,
    };
    connect(&target(address, None), login).await.unwrap()
}

/// The answer to a `Parse` of a statement with one column of this type.
fn parsed(type_: u32) -> Vec<u8> {
    let column = [
        b"x\0".as_slice(),
        &[0; 6],
        &type_.to_be_bytes(),
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 1],
    ]
    .concat();
    [
        message(b'1', b""),
        message(b't', &[0, 0]),
        message(b'T', &[&[0, 1][..], &column].concat()),
        message(b'Z', b"I"),
    ]
    .concat()
}

fn row_of(value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap();
    message(b'D', &[&[0, 1][..], &length.to_be_bytes(), value].concat())
}

async fn asked(session: &Session) -> Result<u32, Fault> {
    let prepared = session.prepare("SELECT x").await?;
    let mut rows = session.query(&prepared, &[]).await?;
    Ok(rows.fetch(session, 1_000, 1 << 20).await?.rows)
}

#[tokio::test]
async fn a_server_that_lies_after_the_log_in_ends_the_session() {
    let postgres = Postgres::start(Options::default()).unwrap();
    let protocol = Fault::Lost(ConnectionError::Protocol);
    let rows = |rows: &[Vec<u8>]| [message(b'2', b""), rows.concat()].concat();
    let setting = |length: usize| message(b'S', format!("a\0{}\0", "x".repeat(length)).as_bytes());
    let lies: [(&str, Vec<Vec<u8>>, Fault); 10] = [
        (
            "a setting of 60 KiB",
            vec![[setting(60 << 10), parsed(25)].concat()],
            protocol.clone(),
        ),
        (
            "a hundred settings of 4 KiB",
            vec![[setting(4 << 10).repeat(100), parsed(25)].concat()],
            protocol.clone(),
        ),
        ("noise", vec![vec![0xff; 100]], Fault::TooLarge),
        ("rows out of turn", vec![row_of(b"x")], protocol.clone()),
        (
            "a number in three bytes",
            vec![parsed(23), rows(&[row_of(b"abc")])],
            protocol.clone(),
        ),
        (
            "text that is none",
            vec![parsed(25), rows(&[row_of(&[0xff])])],
            protocol.clone(),
        ),
        (
            "two values for one column",
            vec![
                parsed(25),
                rows(&[message(b'D', &[0, 2, 0, 0, 0, 0, 0, 0, 0, 0])]),
            ],
            protocol.clone(),
        ),
        (
            "a value longer than its row",
            vec![parsed(25), rows(&[message(b'D', &[0, 1, 0, 0, 0, 99, 1])])],
            protocol.clone(),
        ),
        (
            "an array of a million elements in ten bytes",
            vec![
                parsed(1007),
                rows(&[row_of(&[
                    0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 15, 66, 64, 0, 0, 0, 1,
                ])]),
            ],
            protocol.clone(),
        ),
        (
            "a row over the limit",
            vec![parsed(25), rows(&[row_of(&vec![b'x'; 80 << 10])])],
            Fault::TooLarge,
        ),
    ];
    for (what, lies, fault) in lies {
        let session = behind_a_log_in(&postgres, lies).await;
        let found = timeout(Duration::from_secs(20), asked(&session)).await;
        assert_eq!(found.unwrap(), Err(fault), "{what}");
        let start = Instant::now();
        session.close().await;
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
    }
}

#[tokio::test]
async fn endless_rows_end_with_the_task_that_reads_them() {
    let postgres = Postgres::start(Options::default()).unwrap();
    let rows: Vec<u8> = std::iter::repeat_n(row_of(b"again and again"), 1_000)
        .flatten()
        .collect();
    let first = [message(b'2', b""), rows].concat();
    let session = behind_a_log_in(&postgres, vec![parsed(25), first]).await;
    let prepared = session.prepare("SELECT x").await.unwrap();
    let mut rows = session.query(&prepared, &[]).await.unwrap();
    let fetched = rows.fetch(&session, 1_000, 1 << 20).await.unwrap();
    assert_eq!((fetched.rows, fetched.ended), (1_000, false));
    // It never comes to an end: whoever waits gives up, and the close is bounded.
    let more = rows.fetch(&session, 1_000, 1 << 20);
    assert!(timeout(Duration::from_millis(200), more).await.is_err());
    let start = Instant::now();
    session.close().await;
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// The answer to a `Parse`: parameters and columns of these types.
fn described(parameters: &[u32], columns: &[u32]) -> Vec<u8> {
    let count = |types: &[u32]| u16::try_from(types.len()).unwrap().to_be_bytes();
    let mut asked = count(parameters).to_vec();
    for type_ in parameters {
        asked.extend(type_.to_be_bytes());
    }
    let mut told = count(columns).to_vec();
    for type_ in columns {
        told.extend(b"x\0\0\0\0\0\0\0");
        told.extend(type_.to_be_bytes());
        told.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 1]);
    }
    [
        message(b'1', b""),
        message(b't', &asked),
        message(b'T', &told),
        message(b'Z', b"I"),
    ]
    .concat()
}

/// One row of these values, and the end.
fn answered(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut row = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        match value {
            None => row.extend([0xff; 4]),
            Some(value) => {
                row.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
                row.extend(*value);
            }
        }
    }
    [
        message(b'2', b""),
        message(b'D', &row),
        message(b'C', b"SELECT 1\0"),
        message(b'Z', b"I"),
    ]
    .concat()
}

/// What the driver asks of a type: name, kind, element, subtype of a range,
/// base, schema and relation.
const OF_TYPE: [u32; 7] = [19, 18, 26, 26, 26, 19, 26];

/// A type that is made from the type in one of these places.
fn made_from(place: usize, other: u32) -> Vec<u8> {
    let (other, none) = (other.to_be_bytes(), [0; 4]);
    let mut values: [Option<&[u8]>; 7] = [
        Some(b"t"),
        Some(b"b"),
        Some(&none),
        None,
        Some(&none),
        Some(b"s"),
        Some(&none),
    ];
    values[place] = Some(&other);
    answered(&values)
}

#[tokio::test]
async fn types_without_end_end_the_session_and_not_the_process() {
    const TYPE: u32 = 100_000;
    let postgres = Postgres::start(Options::default()).unwrap();
    let ever_more = |place| {
        let types = (TYPE + 1..TYPE + 20_000).map(move |other| made_from(place, other));
        let first = [parsed(TYPE), described(&[26], &OF_TYPE)];
        first.into_iter().chain(types).collect::<Vec<_>>()
    };
    // Even the question about types has a parameter of an unknown type.
    let questions = (TYPE..TYPE + 20_000).map(|type_| described(&[type_], &OF_TYPE));
    let labels = [
        answered(&[
            Some(b"t"),
            Some(b"e"),
            Some(&[0; 4]),
            None,
            Some(&[0; 4]),
            Some(b"s"),
            Some(&[0; 4]),
        ]),
        described(&[26], &[19]),
        [
            message(b'2', b""),
            std::iter::repeat_n(row_of(&[b'x'; 60]), 40_000)
                .flatten()
                .collect(),
        ]
        .concat(),
    ];
    let first = vec![parsed(TYPE), described(&[26], &OF_TYPE)];
    for (what, lies) in [
        ("arrays of arrays", ever_more(2)),
        ("ranges of ranges", ever_more(3)),
        ("domains of domains", ever_more(4)),
        ("questions about questions", questions.collect()),
        ("an enum without end", [first, labels.to_vec()].concat()),
    ] {
        let session = behind_a_log_in(&postgres, lies).await;
        let found = timeout(Duration::from_secs(20), asked(&session)).await;
        let protocol = Fault::Lost(ConnectionError::Protocol);
        assert_eq!(found.unwrap(), Err(protocol), "{what}");
        session.close().await;
    }
}

#[tokio::test]
async fn types_made_from_types_are_read() {
    let postgres = Postgres::start(Options::default()).unwrap();
    let mut made = "CREATE DOMAIN d0 AS int; CREATE TYPE e0 AS ENUM ('a', 'b');".to_owned();
    for n in 1..=20 {
        made += &format!("CREATE DOMAIN d{n} AS d{}; ", n - 1);
        made += &format!("CREATE TYPE e{n} AS ENUM ('a', 'b'); ");
    }
    let password = Secret::new(postgres.password());
    let login = Login {
        user: Postgres::SUPERUSER,
        password: &password,
    };
    let target = target(postgres.socket(), None);
    let session = connect(&target, login).await.unwrap();
    session.command(&made).await.unwrap();
    let enums: String = (0..=20).map(|n| format!(", 'a'::e{n}")).collect();
    let text = format!("SELECT 1::d20, '{{1}}'::d5[]{enums}");
    let prepared = session.prepare(&text).await.unwrap();
    let mut rows = session.query(&prepared, &[]).await.unwrap();
    assert_eq!(rows.fetch(&session, 10, 1 << 20).await.unwrap().rows, 1);
    // What is no prepare is not counted.
    for _ in 0..300 {
        session.command("SELECT 1").await.unwrap();
    }
    session.close().await;
}
