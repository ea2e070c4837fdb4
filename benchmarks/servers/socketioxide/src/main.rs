//! The comparison's server on socketioxide: its tower layer under axum, on tokio.
//!
//!     socketioxide-server [--parser json|msgpack] [--ping-interval SECONDS]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
use bytes::Bytes;
use futures_util::StreamExt;
use rmpv::Value;
use serde::{Deserialize, Serialize};
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide::{ParserConfig, SocketIo};

/// A line of an order.
#[derive(Deserialize, Serialize)]
struct Item {
    name: String,
    count: i64,
    price: f64,
    tags: Vec<String>,
}

/// What the shape `typed` sends: about a kilobyte.
#[derive(Deserialize, Serialize)]
struct Order {
    id: i64,
    customer: String,
    paid: bool,
    items: Vec<Item>,
    note: String,
}

/// What a server is asked to have before the load begins.
#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    rooms: usize,
    #[serde(default)]
    namespaces: usize,
}

/// One room, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Rooms {
    One(String),
    Several(Vec<String>),
}

impl Rooms {
    fn names(self) -> Vec<String> {
        match self {
            Rooms::One(name) => vec![name],
            Rooms::Several(names) => names,
        }
    }
}

static NAMESPACES_MADE: AtomicUsize = AtomicUsize::new(0);

/// The number of the latest request to watch the loop; a watch with another number ends.
static WATCH: AtomicUsize = AtomicUsize::new(0);
/// The longest time in microseconds for which the loop did not run.
static STALL: AtomicU64 = AtomicU64::new(0);

fn start_watching() {
    let mine = WATCH.fetch_add(1, Ordering::Relaxed) + 1;
    STALL.store(0, Ordering::Relaxed);
    tokio::spawn(async move {
        let pause = Duration::from_millis(20);
        while WATCH.load(Ordering::Relaxed) == mine {
            let before = Instant::now();
            tokio::time::sleep(pause).await;
            let late = before.elapsed().saturating_sub(pause).as_micros() as u64;
            STALL.fetch_max(late, Ordering::Relaxed);
        }
    });
}

fn stop_watching() -> f64 {
    WATCH.fetch_add(1, Ordering::Relaxed);
    STALL.load(Ordering::Relaxed) as f64 / 1000.0
}

async fn echo(Data(argument): Data<Value>, acknowledge: AckSender) {
    acknowledge.send(&argument).ok();
}

async fn typed(Data(order): Data<Order>, acknowledge: AckSender) {
    acknowledge.send(&order).ok();
}

async fn binary(Data(blob): Data<Bytes>, acknowledge: AckSender) {
    acknowledge.send(&blob).ok();
}

/// Handlers that wait for something: for a turn of the loop.
async fn waiting_echo(Data(argument): Data<Value>, acknowledge: AckSender) {
    tokio::task::yield_now().await;
    acknowledge.send(&argument).ok();
}

/// To all in the namespace of the socket.
async fn bcast(io: SocketIo, socket: SocketRef, Data(payload): Data<Value>) {
    if let Some(namespace) = io.of(socket.ns()) {
        namespace.emit("msg", &payload).await.ok();
    }
}

async fn room(io: SocketIo, Data((rooms, payload)): Data<(Rooms, Value)>) {
    io.to(rooms.names()).emit("msg", &payload).await.ok();
}

async fn join(socket: SocketRef, Data(rooms): Data<Vec<String>>, acknowledge: AckSender) {
    let count = rooms.len();
    socket.join(rooms);
    acknowledge.send(&count).ok();
}

async fn ask(io: SocketIo, Data(payload): Data<Value>, acknowledge: AckSender) {
    let all = io.timeout(Duration::from_secs(60));
    if let Ok(answers) = all.emit_with_ack::<_, Value>("msg", &payload).await {
        let count = answers
            .fold(0, async |count, (_, answer)| {
                count + usize::from(answer.is_ok())
            })
            .await;
        acknowledge.send(&count).ok();
    }
}

async fn setup(
    io: SocketIo,
    socket: SocketRef,
    Data(wanted): Data<Wanted>,
    acknowledge: AckSender,
) {
    socket.join(
        (0..wanted.rooms)
            .map(|number| format!("held{number}"))
            .collect::<Vec<_>>(),
    );
    for number in NAMESPACES_MADE.fetch_max(wanted.namespaces, Ordering::Relaxed)..wanted.namespaces
    {
        io.ns(format!("/n{number}"), serve);
    }
    acknowledge.send(&true).ok();
}

async fn watch(acknowledge: AckSender) {
    start_watching();
    acknowledge.send(&true).ok();
}

async fn watched(acknowledge: AckSender) {
    acknowledge.send(&stop_watching()).ok();
}

async fn serve(socket: SocketRef) {
    socket.on("echo", echo);
    socket.on("bcast", bcast);
}

async fn serve_all(socket: SocketRef) {
    socket.on("echo", echo);
    socket.on("bcast", bcast);
    socket.on("typed", typed);
    socket.on("binary", binary);
    socket.on("room", room);
    socket.on("join", join);
    socket.on("ask", ask);
    socket.on("setup", setup);
    socket.on("watch", watch);
    socket.on("watched", watched);
}

async fn serve_waiting(socket: SocketRef) {
    socket.on("echo", waiting_echo);
}

fn option(name: &str, otherwise: &str) -> String {
    let mut words = std::env::args();
    words.find(|word| word == name);
    words.next().unwrap_or_else(|| otherwise.to_owned())
}

// One thread, for one core. With several, an event can come before the handler of the connection
// has run, and is lost.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let pause: f64 = option("--ping-interval", "25")
        .parse()
        .expect("a number of seconds");
    let parser = option("--parser", "json");
    let builder = SocketIo::builder().ping_interval(Duration::from_secs_f64(pause));
    let (layer, io) = match parser.as_str() {
        "msgpack" => builder.with_parser(ParserConfig::msgpack()),
        _ => builder,
    }
    .build_layer();
    io.ns("/", serve_all);
    io.ns("/waiting", serve_waiting);
    // There are no middlewares of events.
    io.ns("/guarded", serve);

    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    println!("PORT {}", listener.local_addr().expect("an address").port());
    // As the other servers do by default.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, axum::Router::new().layer(layer))
        .await
        .expect("a server");
}
