//! A real browser: Debian's Chromium without a window, driven by its own driver over WebDriver (plain JSON over HTTP). Each has a profile of its own,
//! and ends with whoever holds it.

use super::{
    message::Message,
    server::{built, kept},
};
use base64::Engine as _;
use serde_json::{Value as Json, json};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};

/// How WebDriver names an element in JSON. Source: W3C WebDriver, "Elements".
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that are no characters. Source: W3C WebDriver, "Keyboard actions".
pub(crate) mod key {
    pub(crate) const TAB: char = '\u{e004}';
    pub(crate) const ENTER: char = '\u{e007}';
    pub(crate) const ESCAPE: char = '\u{e00c}';
    pub(crate) const RIGHT: char = '\u{e014}';
    pub(crate) const DOWN: char = '\u{e015}';
}

/// The browser, with one page.
pub(crate) struct Browser {
    port: u16,
    session: String,
    /// The process that ends the driver when our end of its standard input is closed; the browser ends with the driver.
    _keeper: Child,
    /// Held open, so that the driver may go on to speak.
    _said: BufReader<ChildStdout>,
    _profile: tempfile::TempDir,
}

/// Starts one. `None` where it is not built, which is said.
pub(crate) fn browser() -> Option<Browser> {
    let program = built("chromium")?;
    let profile = tempfile::tempdir().unwrap();
    let mut command = kept(&program.with_file_name("chromedriver"));
    // A port that it finds itself, and says.
    command.args(["--port=0", "--allowed-ips=127.0.0.1"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut keeper = command.spawn().unwrap();
    let mut said = BufReader::new(keeper.stdout.take().unwrap());
    let port = said.by_ref().lines().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.strip_suffix('.')?.rsplit_once("successfully on port ")?;
        port.parse().ok()
    });
    let port = port.expect("the driver says its port");
    let folder = format!("--user-data-dir={}", profile.path().display());
    let mut browser = Browser { port, session: String::new(), _keeper: keeper, _said: said, _profile: profile };
    let args = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--remote-debugging-pipe",
        &folder,
    ];
    let wanted = json!({ "capabilities": { "alwaysMatch": {
        "goog:chromeOptions": { "binary": program, "args": args },
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        "unhandledPromptBehavior": "ignore",
    } } });
    let session = browser.request("POST", "/session", &wanted);
    browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
    // What the browser shows of its own accord is nobody's page.
    browser.post("/url", &json!({ "url": "about:blank" }));
    browser.asked();
    browser.said();
    Some(browser)
}

impl Browser {
    /// Opens a file.
    pub(crate) fn open(&self, file: &Path) {
        self.post("/url", &json!({ "url": format!("file://{}", file.display()) }));
    }

    /// What a script in the page returns.
    pub(crate) fn run(&self, script: &str) -> Json {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What a script in the page hands to `done`, whenever it does.
    pub(crate) fn wait(&self, script: &str) -> Json {
        let script = format!("const done = arguments[0];\n{script}");
        self.post("/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// Clicks in the middle of what a selector finds first.
    pub(crate) fn click(&self, selector: &str) {
        let id = self.find(selector);
        self.post(&format!("/element/{id}/click"), &json!({}));
    }

    /// Writes into what a selector finds first, in the place of what is there.
    pub(crate) fn write(&self, selector: &str, text: &str) {
        let id = self.find(selector);
        // As a person does: all of it is marked and deleted, which the page hears of.
        let text = format!("\u{e009}a\u{e000}\u{e003}{text}");
        self.post(&format!("/element/{id}/value"), &json!({ "text": text }));
    }

    /// Presses keys one after the other, wherever the focus is.
    pub(crate) fn press(&self, keys: &[char]) {
        let pressed = keys.iter().flat_map(|key| ["keyDown", "keyUp"].map(|how| json!({ "type": how, "value": key })));
        let actions: Vec<Json> = pressed.collect();
        self.post("/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }));
    }

    /// A size of the page in CSS pixels.
    pub(crate) fn size(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What the reader's machine prefers: `print` or `screen`, `dark` or `light`.
    pub(crate) fn prefer(&self, media: &str, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "media": media, "features": features }));
    }

    /// A call of Chromium's own protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: &Json) -> Json {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// What the page said on its console since somebody asked, each with its level.
    pub(crate) fn said(&self) -> Vec<String> {
        let said = self.post("/se/log", &json!({ "type": "browser" }));
        said.as_array().unwrap().iter().map(|one| format!("{}: {}", one["level"], one["message"])).collect()
    }

    /// The address of everything that was asked for since somebody asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "performance" }));
        let events = log.as_array().unwrap().iter().filter_map(|one| one["message"].as_str());
        let events = events.map(|text| serde_json::from_str::<Json>(text).unwrap()["message"].take());
        let asked = events.filter(|event| event["method"] == "Network.requestWillBeSent");
        asked.map(|event| event["params"]["request"]["url"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What the window shows, into a file.
    pub(crate) fn picture(&self, file: &Path) {
        let picture = self.request("GET", &format!("{}/screenshot", self.session), &Json::Null);
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    fn find(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    fn post(&self, path: &str, body: &Json) -> Json {
        self.request("POST", &format!("{}{path}", self.session), body)
    }

    fn request(&self, method: &str, path: &str, body: &Json) -> Json {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        Message { head, body }.write(&mut &stream).unwrap();
        let mut reader = BufReader::new(&stream);
        let mut answer = Message::head(&mut reader).unwrap().expect("the driver answers");
        answer.read_body(&mut reader).unwrap();
        let mut said: Json = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.word(1), "200", "{method} {path}: {}", said["value"]["message"]);
        said["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A test that fails has its own word; the keeper ends what is left.
        if !self.session.is_empty() && !std::thread::panicking() {
            self.request("DELETE", &self.session, &Json::Null);
        }
    }
}
