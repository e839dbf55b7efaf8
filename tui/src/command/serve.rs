//! `pdtune serve`: the embedded engine, or a simulated one, behind HTTP and gRPC.

use std::time::Duration;

use anyhow::Context;
use engine::serve::Drained;
use engine::serve::ServedModel;
use engine::serve::grpc::GrpcServer;
use engine::serve::http::{HttpConfig, HttpServer, raise_affordable_connections};
use engine::serve::hub::{Hub, HubConfig};
use loadgen::target::cpu::Started;
use tokio::runtime::{Builder, Runtime};

use super::signals::Signals;
use super::{Ending, leave_at_once, tell};
use crate::cli::{ServeOptions, Served};

/// Connections at most, unless asked for more: an idle one takes some memory, too.
const CONNECTIONS: usize = 16_384;
/// Threads for connections: they move bytes, the units compute.
const WORKERS: usize = 2;
/// Threads for what takes longer: large bodies are parsed and tokenized there.
const BLOCKING: usize = 4;
/// How long a body that is still being parsed may hold up the end.
const PARTING: Duration = Duration::from_secs(1);

/// Serves until a signal, then drains.
///
/// # Errors
/// When an address is taken, the model cannot be loaded, or the engine cannot start.
pub fn run(options: ServeOptions) -> anyhow::Result<Ending> {
    let control = options.control.as_ref().map_or(0, |(_, control)| control.max_connections);
    let http = HttpConfig { max_connections: connections(options.max_connections, control)?, ..options.http };
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .thread_name("http")
        .enable_all()
        .build()?;
    // Before the model is loaded: a port that is taken is told at once.
    let (server, control) = {
        let _within = runtime.enter();
        let server = HttpServer::bind(options.listen, http)?;
        let control = options.control.map(|(address, config)| GrpcServer::bind(address, config)).transpose();
        (server, control.context("--control-listen")?)
    };
    let name = options.engine.served_name(options.name);
    let pace = match &options.engine {
        Served::Cpu(_) => String::new(),
        Served::Sim(target) => {
            format!(", SIMULATED: answers mean nothing, {} s pass in a second", target.time_scale)
        }
    };
    let Started { engine, events, text, info, kv_block_bytes } = options.engine.start()?;
    let config = HubConfig {
        in_flight_limit: options.max_requests as usize,
        ..HubConfig::new(info.limits.context_tokens, info.limits.vocabulary)
    };
    let hub = Hub::start(engine, events, config).context("cannot start the hub")?;
    let model = ServedModel { name, text, context_tokens: info.limits.context_tokens, kv_block_bytes };
    tell(&format!(
        "model {} ({}), split {}, context {} tokens{pace}",
        model.name,
        info.model,
        hub.observe().split,
        model.context_tokens
    ));
    if let Some(control) = &control {
        tell(&format!("control on grpc://{}", control.address()));
    }
    tell(&format!("listening on http://{}", server.address()));
    let drained = serve(&runtime, server, control, hub.clone(), model)?;
    // Connections first, then the engine: nobody is left to ask it.
    runtime.shutdown_timeout(PARTING);
    drop(hub);
    if drained.cancelled > 0 {
        tell(&format!("warning: {} requests did not finish in time and were cancelled", drained.cancelled));
    }
    Ok(Ending::Fine)
}

/// As many as asked for, or as there are files for beside those that control may take.
fn connections(asked: Option<u32>, control: usize) -> anyhow::Result<usize> {
    let affordable = raise_affordable_connections().saturating_sub(control).max(1);
    let asked = asked.map_or(CONNECTIONS.min(affordable), |asked| asked as usize);
    anyhow::ensure!(
        asked <= affordable,
        "--max-connections: {asked} are more than the {affordable} that the limit of open files allows\n\
         hint: raise that limit with `ulimit -n`"
    );
    Ok(asked)
}

fn serve(
    runtime: &Runtime,
    server: HttpServer,
    control: Option<GrpcServer>,
    hub: Hub,
    model: ServedModel,
) -> anyhow::Result<Drained> {
    runtime.block_on(async {
        let mut signals = Signals::install().context("cannot listen for signals")?;
        let (stop, stopped) = tokio::sync::watch::channel(());
        let second = async move {
            signals.next().await;
            tell("stopping: waiting for what is in flight; again to leave at once");
            drop(stop);
            signals.next().await;
        };
        // Changes when its sender is dropped.
        let asked = |mut stopped: tokio::sync::watch::Receiver<()>| async move { _ = stopped.changed().await };
        let served = async {
            let Some(control) = control else { return server.run(hub, model, asked(stopped)).await };
            let beside = control.run(hub.clone(), &model, asked(stopped.clone()));
            let (http, grpc) = tokio::join!(server.run(hub, model.clone(), asked(stopped)), beside);
            // Both have waited for the same requests.
            Drained { cancelled: http.cancelled.max(grpc.cancelled) }
        };
        tokio::select! {
            drained = served => Ok(drained),
            () = second => leave_at_once(),
        }
    })
}
