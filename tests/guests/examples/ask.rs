//! Asks outside what its config says, one thing after the other, and tells what came of it.

use std::time::Duration;

use gatehost_sdk::{Check, Description, Failure, Fault, Pod, Verdict, dns, http, serde::Deserialize, tcp};

struct Ask;

#[derive(Deserialize)]
#[serde(crate = "gatehost_sdk::serde", deny_unknown_fields)]
struct Config {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(crate = "gatehost_sdk::serde", rename_all = "camelCase", deny_unknown_fields)]
enum Step {
    Http(Http),
    Tcp(Tcp),
    Dns(String),
}

#[derive(Deserialize)]
#[serde(crate = "gatehost_sdk::serde", rename_all = "camelCase", deny_unknown_fields, default)]
struct Http {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
    timeout_ms: Option<u64>,
    most_bytes: Option<u32>,
}

impl Default for Http {
    fn default() -> Self {
        let (url, headers, body) = (String::new(), Vec::new(), String::new());
        Self { method: "GET".to_owned(), url, headers, body, timeout_ms: None, most_bytes: None }
    }
}

#[derive(Default, Deserialize)]
#[serde(crate = "gatehost_sdk::serde", rename_all = "camelCase", deny_unknown_fields, default)]
struct Tcp {
    host: String,
    port: u16,
    send: String,
    until: String,
    read: u32,
    timeout_ms: Option<u64>,
}

impl Step {
    fn run(self) -> Result<String, Failure> {
        match self {
            Self::Http(step) => step.run(),
            Self::Tcp(step) => step.run(),
            Self::Dns(name) => Ok(dns::resolve(&name)?.join(" ")),
        }
    }
}

impl Http {
    fn run(self) -> Result<String, Failure> {
        let mut request = http::Request::new(self.method, self.url).body(self.body);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if let Some(millis) = self.timeout_ms {
            request = request.timeout(Duration::from_millis(millis));
        }
        if let Some(bytes) = self.most_bytes {
            request = request.most_bytes(bytes);
        }
        let answer = request.send()?;
        let headers: Vec<_> = answer.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let body: String = answer.text().chars().take(200).collect();
        let headers = headers.join(",").chars().take(400).collect::<String>();
        let cut = if answer.cut { " cut" } else { "" };
        Ok(format!("{} {} bytes{cut} [{body}] {headers}", answer.status, answer.body.len()))
    }
}

impl Tcp {
    fn run(self) -> Result<String, Failure> {
        let mut exchange = tcp::Exchange::new(self.host, self.port).send(self.send).until(self.until).read(self.read);
        if let Some(millis) = self.timeout_ms {
            exchange = exchange.timeout(Duration::from_millis(millis));
        }
        let read = exchange.connect()?;
        let text: String = String::from_utf8_lossy(&read).chars().take(200).collect();
        Ok(format!("read {} [{text}]", read.len()))
    }
}

impl Check for Ask {
    type Config = Config;

    fn describe() -> Description {
        Description::new("ask", "0.1.0", "Asks what its config says")
    }

    fn evaluate(_: &Pod, Config { steps }: Config) -> Result<Verdict, Fault> {
        let told: Vec<_> =
            steps.into_iter().map(|step| step.run().unwrap_or_else(|failure| failure.to_string())).collect();
        Ok(Verdict::met("Asked").message(told.join(" | ")))
    }
}

gatehost_sdk::export!(Ask);
