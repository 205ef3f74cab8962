//! The image, without a container engine: the files that the Dockerfile's last stage holds are laid out in a folder,
//! and the host runs in it as a container would run it: chroot, the image's user, a read-only root, process 1, and no
//! environment but what is given. This takes root.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use gatehost_tests::{
    ports,
    process::{Process, tail},
    target,
    wait::{SOON, Seen, until},
    workspace,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// What the base of the last stage holds for a program made with Rust: the C library and libgcc.
const BASE: [&str; 5] = ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"];

/// Where kubelet mounts the service account's token.
const ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";

/// Mounts what a container runtime mounts, all of it read-only, and runs the command as process 1. The outer process
/// namespace is there to end the inner one with the test, however that ends.
const RUNTIME: &str = r#"
root=$1 checks=$2 account=$3
shift 3
mount --make-rprivate /
mount --bind "$root" "$root"
mount --bind "$checks" "$root/checks"
mount --bind "$account" "$root/var/run/secrets/kubernetes.io/serviceaccount"
for place in "$root" "$root/checks" "$root/var/run/secrets/kubernetes.io/serviceaccount"; do
    mount -o remount,bind,ro,nosuid,nodev "$place"
done
unshare --pid --fork sh -euc 'mount -t proc -o ro proc "$0/proc"; exec env -i "$@"' "$root" "$@"
"#;

/// The Dockerfile's last stage.
#[derive(Debug, Default)]
struct Stage {
    /// From a path of the build stage to a path of the image.
    copies: Vec<(String, String)>,
    user: String,
    entrypoint: Vec<String>,
    command: Vec<String>,
}

impl Stage {
    fn read() -> Result<Self> {
        let text = fs::read_to_string(workspace().join("Dockerfile"))?;
        let mut stage = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (word, rest) = line.split_once(' ').with_context(|| line.to_owned())?;
            match (word, rest.split_whitespace().collect::<Vec<_>>().as_slice()) {
                ("FROM", _) => stage = Self::default(),
                ("COPY", ["--from=build", from, to]) => stage.copies.push(((*from).to_owned(), (*to).to_owned())),
                ("USER", [user]) => (*user).clone_into(&mut stage.user),
                ("ENTRYPOINT", _) => stage.entrypoint = serde_json::from_str(rest)?,
                ("CMD", _) => stage.command = serde_json::from_str(rest)?,
                ("COPY" | "WORKDIR" | "RUN" | "EXPOSE", _) => {}
                _ => bail!("Dockerfile: {line}: this test does not know what that puts into the image"),
            }
        }
        Ok(stage)
    }
}

/// A path of the build stage, in this workspace's own build.
fn built(path: &str) -> Result<PathBuf> {
    if path == "/src/target/release/gatehost" {
        return gatehost_tests::gatehost_binary();
    }
    if path == "/src/target/compiled" {
        return compiled();
    }
    let inner = path.strip_prefix("/src/target/").with_context(|| format!("Dockerfile: {path} is not built"))?;
    let path = target().join(inner);
    ensure!(path.exists(), "{} is missing: run `make plugins`", path.display());
    Ok(path)
}

/// The shipped plugins as the Dockerfile compiles them.
fn compiled() -> Result<PathBuf> {
    let place = target().join("tmp/compiled");
    fs::create_dir_all(&place)?;
    let mut command = Command::new(gatehost_tests::gatehost_binary()?);
    command.arg("compile").arg(target().join("plugins")).arg("--cache").arg(&place).env_clear();
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(place)
}

/// The laid-out image, and what is mounted into it.
struct Image {
    folder: TempDir,
    stage: Stage,
}

impl Image {
    fn lay_out() -> Result<Self> {
        let mount = ["--mount", "--pid", "--fork", "mount", "--make-rprivate", "/"];
        let tried = Command::new("unshare").args(mount).output().context("unshare is missing: it is in util-linux")?;
        ensure!(
            tried.status.success(),
            "this test mounts as a container runtime does, which is not allowed here ({}): run it as root",
            String::from_utf8_lossy(&tried.stderr).trim()
        );
        let image = Self { folder: TempDir::new()?, stage: Stage::read()? };
        for (from, to) in &image.stage.copies {
            copy(&built(from)?, &image.root().join(to.trim_start_matches('/')))?;
        }
        let binary = gatehost_tests::gatehost_binary()?;
        for library in libraries(&binary)? {
            let name = library.file_name().and_then(|n| n.to_str()).context("a library without a name")?;
            ensure!(BASE.contains(&name), "the host needs {name}, which the image's base does not hold");
            copy(&library, &image.root().join(library.strip_prefix("/")?))?;
        }
        for mounted in ["checks", ACCOUNT, "proc"] {
            fs::create_dir_all(image.root().join(mounted))?;
        }
        fs::create_dir(image.checks())?;
        fs::create_dir(image.account())?;
        Ok(image)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn checks(&self) -> PathBuf {
        self.folder.path().join("checks")
    }

    fn account(&self) -> PathBuf {
        self.folder.path().join("account")
    }

    /// Starts the image's entry point with `args`, and `env` as its whole environment.
    fn start(&self, args: &[&str], env: &[String]) -> Result<Process> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", RUNTIME, "sh"]);
        command.args([self.root(), self.checks(), self.account()]);
        command.args(env).arg(chroot()?).arg(format!("--userspec={}", self.stage.user)).arg("--groups=");
        command.arg(self.root()).args(&self.stage.entrypoint).args(args);
        Process::spawn("the image", command, &self.log())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Runs it to its end: the exit code and everything that it printed.
    fn run(&self, args: &[&str]) -> Result<(Option<i32>, String)> {
        let status = self.start(args, &[])?.wait(SOON)?;
        let printed = fs::read_to_string(self.log())?;
        Ok((status.code(), printed))
    }
}

/// Copies a file or a directory so that everybody can read it, as COPY does.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    fs::create_dir_all(to.parent().context("a file without a directory")?)?;
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    Ok(())
}

/// What the dynamic linker loads for a program.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("ldd")?;
    ensure!(output.status.success(), "ldd: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

fn chroot() -> Result<PathBuf> {
    let places = ["/usr/sbin/chroot", "/usr/bin/chroot"].map(PathBuf::from);
    places.into_iter().find(|place| place.is_file()).context("chroot is missing: it is in coreutils")
}

/// The newest of a process's descendants: the one that `unshare` and `sh` were started for.
fn innermost(process: u32) -> Result<Pid> {
    let mut id = process;
    while let Some(child) = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?.split_whitespace().next_back()
    {
        id = child.parse()?;
    }
    Pid::from_raw(id.try_into()?).context("no process")
}

fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

const CHECK: &str = "
apiVersion: gatehost.dev/v1alpha1
kind: Check
metadata: {name: approved}
spec:
  gate: example.com/approved
  plugin: annotation.wasm
  config: {annotation: example.com/approved}
  startWhen: always
";

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: web-1, annotations: {example.com/approved: 'yes'}}
spec: {readinessGates: [{conditionType: example.com/approved}]}
";

#[test]
fn a_check_decides_in_the_image_with_nothing_to_write_to_and_no_environment() {
    let image = Image::lay_out().unwrap();
    fs::write(image.checks().join("check.yaml"), CHECK).unwrap();
    fs::write(image.checks().join("pod.yaml"), POD).unwrap();
    let (code, printed) = image.run(&["dev", "--once", "-o", "json", "/plugins", "/checks"]).unwrap();
    assert_eq!(code, Some(0), "{printed}");
    let document: Value = serde_json::from_str(&printed).unwrap_or_else(|e| panic!("{e}: {printed}"));
    assert_eq!(document["gates"][0]["status"], "True", "{printed}");
    assert_eq!(document["gates"][0]["plugin"], "annotation.wasm", "{printed}");
}

#[test]
fn the_shipped_plugins_are_in_the_image_compiled() {
    let image = Image::lay_out().unwrap();
    fs::write(image.checks().join("check.yaml"), CHECK).unwrap();
    fs::write(image.checks().join("pod.yaml"), POD).unwrap();
    let debug = ["--log-level", "warn,gatehost::sandbox=debug"];
    let (code, printed) =
        image.run(&[&["dev", "--once", "--cache", "/compiled", "/plugins", "/checks"][..], &debug].concat()).unwrap();
    assert_eq!(code, Some(0), "{printed}");
    let shipped = fs::read_dir(target().join("plugins")).unwrap().filter(|file| {
        let path = file.as_ref().unwrap().path();
        path.extension().is_some_and(|ending| ending == "wasm")
    });
    assert_eq!(printed.matches("origin=Cache").count(), shipped.count(), "{printed}");
    assert!(!printed.contains("origin=Compiled") && !printed.contains("WARN"), "{printed}");
}

#[test]
fn outside_of_a_cluster_the_image_says_what_is_missing_in_one_line() {
    let image = Image::lay_out().unwrap();
    let command: Vec<_> = image.stage.command.iter().map(String::as_str).collect();
    let (code, printed) = image.run(&command).unwrap();
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.starts_with("gatehost: no kubeconfig") && printed.lines().count() == 1, "{printed}");
}

#[tokio::test]
async fn the_image_serves_as_process_1_and_ends_when_it_is_told_to() {
    let image = Image::lay_out().unwrap();
    fs::write(image.checks().join("check.yaml"), CHECK).unwrap();
    // As kubelet mounts it, for an API server that is not there.
    let authority = rcgen::generate_simple_self_signed(vec!["kubernetes".to_owned()]).unwrap();
    for (name, text) in [("ca.crt", authority.cert.pem()), ("token", "none".into()), ("namespace", "gatehost".into())] {
        fs::write(image.account().join(name), text).unwrap();
        fs::set_permissions(image.account().join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let (port, nobody) = (ports::free(), ports::free());
    let env = [
        format!("GATEHOST_LISTEN=127.0.0.1:{port}"),
        "KUBERNETES_SERVICE_HOST=127.0.0.1".to_owned(),
        format!("KUBERNETES_SERVICE_PORT={nobody}"),
    ];
    let command: Vec<_> = image.stage.command.iter().map(String::as_str).collect();
    let mut host = image.start(&command, &env).unwrap();
    until(SOON, "the host answers, and waits only for the API server", async || {
        host.check()?;
        let (Ok(live), Ok(ready)) = (get(port, "/livez"), get(port, "/readyz")) else {
            return Ok(Seen::NotYet(tail(&image.log(), 15)));
        };
        let yes =
            live.starts_with("HTTP/1.0 200") && ready.starts_with("HTTP/1.0 503") && !ready.contains("directories");
        Ok(Seen::when(yes, || format!("{live}\n{ready}")))
    })
    .await
    .unwrap();

    let inner = innermost(host.id()).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", inner.as_raw_nonzero())).unwrap();
    let is = |field: &str| status.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().to_owned();
    assert_eq!(is("Uid:"), "65532\t65532\t65532\t65532");
    assert_eq!(is("Groups:"), "");
    assert!(is("NSpid:").ends_with("\t1"), "{}", is("NSpid:"));
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", inner.as_raw_nonzero())).unwrap();
    for mount in mounts.lines().filter(|line| line.split(' ').nth(4).unwrap() != "/proc") {
        assert!(mount.split(' ').nth(5).unwrap().starts_with("ro,"), "can be written to: {mount}");
    }
    kill_process(inner, Signal::TERM).unwrap();
    let status = host.wait(Duration::from_secs(6)).unwrap();
    assert!(status.success(), "{status}: {}", tail(&image.log(), 15));
}

#[test]
fn the_manifests_and_the_image_agree() {
    let stage = Stage::read().unwrap();
    let deployment = fs::read_to_string(workspace().join("host/deploy/deployment.yaml")).unwrap();
    let (user, group) = stage.user.split_once(':').unwrap();
    for line in [
        format!("args: [{}]", stage.command.join(", ")),
        format!("runAsUser: {user}"),
        format!("runAsGroup: {group}"),
        format!("image: gatehost:{}", env!("CARGO_PKG_VERSION")),
        "value: \"/cache,/compiled\"".to_owned(),
        "mountPath: /cache".to_owned(),
    ] {
        assert!(deployment.lines().any(|l| l.trim().trim_start_matches("- ") == line), "deployment.yaml: no {line:?}");
    }
    assert!(stage.copies.iter().any(|(_, to)| to == "/compiled"));
}
