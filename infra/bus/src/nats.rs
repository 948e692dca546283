//! The port over one connection to NATS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::{Info, Stream};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use async_trait::async_trait;
use domain::Secret;
use domain::ports::bus::{Bus, BusError, Consumer, Entry, Extent, Publisher};
use tokio::sync::Mutex;

use crate::publisher::NatsPublisher;
use crate::{BusOptions, consumers, reader};

#[derive(Clone)]
pub struct NatsBus {
    options: Arc<BusOptions>,
    servers: Arc<Vec<ServerAddr>>,
    user: Option<Arc<User>>,
    client: Arc<Mutex<Option<Client>>>,
}

struct User {
    name: Secret,
    password: Option<Secret>,
}

fn without_user(server: ServerAddr) -> Option<ServerAddr> {
    let mut url = server.into_inner();
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    ServerAddr::from_url(url).ok()
}

impl NatsBus {
    /// Connects when it is first used, and again whenever that is necessary.
    pub fn new(options: BusOptions) -> Result<Self, BusError> {
        // Errors of the parser quote the address, which may hold a password.
        let servers: Result<Vec<ServerAddr>, _> =
            options.url.reveal().split(',').map(|s| s.trim().parse()).collect();
        let malformed = || BusError::Refused("must be a list of nats:// addresses".to_owned());
        let servers = servers.map_err(|_| malformed())?;
        // One user for all servers; a name alone is a token.
        let named = servers.iter().find(|s| s.username().is_some());
        let user = named.map(|server| User {
            name: Secret::new(plain(server.username().unwrap_or_default())),
            password: server.password().map(|p| Secret::new(plain(p))),
        });
        // The client prints addresses at level debug.
        let servers = servers.into_iter().map(without_user).collect::<Option<Vec<_>>>();
        let servers = Arc::new(servers.ok_or_else(malformed)?);
        Ok(Self { options: Arc::new(options), servers, user: user.map(Arc::new), client: Arc::default() })
    }

    pub fn options(&self) -> &BusOptions {
        &self.options
    }

    pub(crate) async fn client(&self) -> Result<Client, BusError> {
        let mut client = self.client.lock().await;
        if let Some(client) = client.as_ref() {
            return Ok(client.clone());
        }
        let mut connect = ConnectOptions::new()
            .name("daybook")
            .connection_timeout(self.options.patience)
            .request_timeout(Some(self.options.patience))
            .subscription_capacity(self.options.in_flight.max(1) * 2)
            .reconnect_delay_callback(|tries| Duration::from_millis((50 << tries.min(6)) as u64))
            .event_callback(report);
        if let Some(user) = &self.user {
            let name = user.name.reveal().to_owned();
            connect = match &user.password {
                Some(password) => connect.user_and_password(name, password.reveal().to_owned()),
                None => connect.token(name),
            };
        }
        if self.options.credentials_file != Path::new("") {
            connect = connect
                .credentials_file(&self.options.credentials_file)
                .await
                .map_err(|e| BusError::Refused(format!("the credentials file: {e}")))?;
        }
        let connected = connect.connect(self.servers.as_slice()).await.map_err(|error| {
            BusError::Unavailable(match error.kind() {
                ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                    "NATS does not accept the credentials".to_owned()
                }
                // The kind alone: sources may quote an address.
                kind => format!("NATS cannot be reached ({kind})"),
            })
        })?;
        Ok(client.insert(connected).clone())
    }

    pub(crate) async fn context(&self) -> Result<Context, BusError> {
        let mut context = jetstream::new(self.client().await?);
        context.set_timeout(self.options.patience);
        Ok(context)
    }

    pub(crate) async fn stream(&self) -> Result<Stream, BusError> {
        use async_nats::jetstream::context::GetStreamErrorKind::JetStream;
        let found = self.context().await?.get_stream(&self.options.stream).await;
        found.map_err(|error| match error.kind() {
            JetStream(e) if e.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                BusError::NoStream(self.options.stream.clone())
            }
            _ => unavailable(error),
        })
    }

    async fn create(&self) -> Result<Info, BusError> {
        use async_nats::jetstream::context::CreateStreamErrorKind::JetStream;
        let created = self.context().await?.create_stream(self.options.config()).await;
        let stream = created.map_err(|error| match error.kind() {
            // The server's own words, such as that there are too few peers.
            JetStream(e) => BusError::Refused(format!("making the stream: {e}")),
            _ => unavailable(error),
        })?;
        tracing::info!(stream = self.options.stream, "bus: stream made");
        Ok(stream.cached_info().clone())
    }

    /// Of a stream that has no leader at the moment nothing is known.
    fn known(info: &Info) -> Result<Extent, BusError> {
        if info.cluster.as_ref().is_some_and(|c| c.leader.is_none()) {
            return Err(BusError::Unavailable("the stream has no leader".to_owned()));
        }
        let state = &info.state;
        let empty = state.messages == 0;
        Ok(Extent {
            first: if empty { state.last_sequence + 1 } else { state.first_sequence },
            last: state.last_sequence,
            entries: state.messages,
            bytes: state.bytes,
        })
    }
}

/// A part of an address without its percent signs.
fn plain(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|c| std::str::from_utf8(c).ok());
        match code.filter(|_| *first == b'%').and_then(|c| u8::from_str_radix(c, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Words about the connection; never an address.
async fn report(event: Event) {
    match event {
        Event::Connected => tracing::info!("bus: connected"),
        Event::Disconnected => tracing::warn!("bus: disconnected"),
        Event::SlowConsumer(_) => tracing::warn!("bus: rings were left out"),
        Event::ServerError(error) => tracing::warn!(%error, "bus: the server refuses"),
        Event::ClientError(error) => tracing::debug!(%error, "bus: connecting"),
        Event::LameDuckMode | Event::Draining | Event::Closed => tracing::debug!(%event, "bus"),
    }
}

pub(crate) fn unavailable(error: impl std::fmt::Display) -> BusError {
    BusError::Unavailable(error.to_string())
}

#[async_trait]
impl Bus for NatsBus {
    async fn open(&self) -> Result<Extent, BusError> {
        let info = match self.stream().await {
            Ok(stream) => stream.cached_info().clone(),
            Err(BusError::NoStream(_)) => self.create().await?,
            Err(error) => return Err(error),
        };
        self.options.check(&info.config)?;
        Self::known(&info)
    }

    async fn extent(&self) -> Result<Extent, BusError> {
        Self::known(self.stream().await?.cached_info())
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Entry>, BusError> {
        reader::read(&self.stream().await?, after, limit, self.options.patience).await
    }

    async fn publisher(&self, after: u64) -> Result<Box<dyn Publisher>, BusError> {
        let client = self.client().await?;
        let inbox = client.new_inbox();
        let acks = client.subscribe(inbox.clone()).await.map_err(unavailable)?;
        Ok(Box::new(NatsPublisher {
            client,
            acks,
            inbox,
            subjects: self.options.subjects.clone(),
            in_flight: self.options.in_flight.max(1) as u64,
            live: self.options.live,
            patience: self.options.patience,
            sent: after,
            acked: after,
        }))
    }

    async fn replace(&self) -> Result<Vec<Consumer>, BusError> {
        let consumers = match self.stream().await {
            Ok(stream) => {
                let consumers = consumers::list(&stream).await?;
                self.context().await?.delete_stream(&self.options.stream).await.map_err(unavailable)?;
                consumers
            }
            Err(BusError::NoStream(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        self.open().await?;
        Ok(consumers)
    }

    async fn restore(&self, consumer: &Consumer) -> Result<(), BusError> {
        consumers::restore(&self.stream().await?, consumer).await
    }
}
