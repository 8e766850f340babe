# shellcheck shell=bash
# What the scripts here share; they source it. Nothing runs but through `run`, so
# that --print shows all of it.

NAME=tenfold
NAMESPACE=kubeflow
# Names and port of KFP's own object store and of the secret with its keys.
STORE=svc/seaweedfs
SECRET=mlpipeline-minio-artifact
STORE_PORT=9000
API_PORT=8888
UI_PORT=8080

# What this machine needs. Disk: KFP and the archive in passing take about 12 GB, and
# the two images of KINDS, 8 GB together, lie in the cluster packed and unpacked.
LEAST_CPUS=4
LEAST_MEMORY_GB=8
LEAST_DISK_GB=30
# https://kind.sigs.k8s.io/docs/user/known-issues/#pod-errors-due-to-too-many-open-files
LEAST_WATCHES=524288
LEAST_INSTANCES=512
# kind: the node image in cluster.yaml cannot be loaded into by an older one. minikube:
# the first with --gpus and no-limit. kubectl: one minor version off the server's.
LEAST_KIND=0.32.0
LEAST_MINIKUBE=1.32.0
LEAST_KUBECTL=1.35.0

CLUSTER=${CLUSTER:-kind}
GPU=${GPU:-0}
KINDS=${KINDS:-cpu torch}
PRINT=0
FAULTS=0
IMAGES=()
HOLDERS=()

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
export PATH="$PWD/.venv/bin:$PATH"
# Not the checkout's own tenfold.yaml: images, store and host are the local cluster's.
export TENFOLD_SETTINGS=infra/kind/tenfold.yaml

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 2
}

# Reads the options that all scripts take; leaves the others in OTHERS.
options() {
  OTHERS=()
  while (($#)); do
    case $1 in
      --cluster) CLUSTER=${2:-} && shift ;;
      --cluster=*) CLUSTER=${1#*=} ;;
      --print) PRINT=1 ;;
      --help | -h) usage && exit 0 ;;
      *) OTHERS+=("$1") ;;
    esac
    (($#)) && shift
  done
  case $CLUSTER in
    kind) CONTEXT=kind-$NAME ;;
    minikube) CONTEXT=$NAME ;;
    *) fail "--cluster is kind or minikube, not '$CLUSTER'" ;;
  esac
  if [[ $GPU == 1 && $CLUSTER == kind ]]; then
    fail "kind gives its pods no GPU; take GPU=1 with --cluster minikube"
  fi
}

no_others() {
  ((${#OTHERS[@]} == 0)) || fail "unknown option ${OTHERS[0]}; --help lists them"
}

printing() { ((PRINT)); }

# Writes a command as one could type it.
show() {
  local word line=
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_./:=@%+,-]+$ ]] || word=${word@Q}
    line+="$word "
  done
  printf '%s\n' "${line% }"
}

run() {
  if printing; then show "$@"; else "$@"; fi
}

# Any command goes to this cluster by name, never to whichever is current.
kube() { run kubectl --context "$CONTEXT" "$@"; }

# Runs a command and writes what it prints to a file.
run_to() {
  if printing; then
    printf '%s > %s\n' "$(show "${@:2}")" "$1"
  else
    mkdir -p "$(dirname "$1")"
    "${@:2}" >"$1"
  fi
}

# Writes standard input to a file.
write() {
  if printing; then
    printf '# %s gets:\n' "$1"
    sed 's/^/#   /'
  else
    mkdir -p "$(dirname "$1")"
    cat >"$1"
  fi
}

answers() {
  printing || kubectl --context "$CONTEXT" get --raw /readyz >/dev/null 2>&1 ||
    fail "cluster $CONTEXT does not answer; run: make kind-up CLUSTER=$CLUSTER"
}

# --- checks ---------------------------------------------------------------------------

fault() {
  say "error: $*"
  FAULTS=1
}

# Needs: a program, its least version, where it is from, and how it tells its version.
tool() {
  local name=$1 least=$2 from=$3 found
  shift 3
  if ! command -v "$name" >/dev/null; then
    fault "$name is missing; install it: $from"
    return
  fi
  found=$("$name" "$@" 2>/dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1) || true
  if [[ $(printf '%s\n' "$least" "${found:-0}" | sort -V | head -n 1) != "$least" ]]; then
    fault "$name is version ${found:-unknown}, and $least or later is needed: $from"
  fi
}

# Needs: a sysctl, and its least value. Without it (no Linux) there is nothing to raise.
sysctl_of() {
  local found
  found=$(PATH="$PATH:/usr/sbin:/sbin" sysctl -n "$1" 2>/dev/null) || return 0
  if ((found < $2)); then
    fault "$1 is $found, too few for the pods of KFP; run: sudo sysctl $1=$2"
  fi
}

engine() {
  local cpus memory root free
  read -r cpus memory root < <(
    docker info --format '{{.NCPU}} {{.MemTotal}} {{.DockerRootDir}}' 2>/dev/null
  ) || true
  if ! [[ ${cpus:-} =~ ^[1-9] ]]; then
    fault "Docker does not answer; start it: sudo systemctl start docker"
    return
  fi
  ((cpus >= LEAST_CPUS)) ||
    fault "Docker has $cpus CPUs and KFP needs $LEAST_CPUS; take a larger machine"
  ((memory >= LEAST_MEMORY_GB * 1000000000)) ||
    fault "Docker has $((memory / 1000000000)) GB of memory and KFP needs" \
      "$LEAST_MEMORY_GB; take a larger machine"
  # Docker in a virtual machine keeps its files where this shell does not see them.
  if [[ -d $root ]]; then
    free=$(df -Pk "$root" | awk 'NR == 2 {print int($4 * 1024 / 1e9)}')
    ((free >= LEAST_DISK_GB)) ||
      fault "$root has $free GB free and $LEAST_DISK_GB are needed; run:" \
        "docker system prune"
  fi
}

checks() {
  if printing; then
    echo "# checks: git, kubectl, $CLUSTER and Docker; CPUs, memory and disk of Docker;"
    echo "#   inotify limits; the images are built"
    return
  fi
  command -v git >/dev/null || fault "git is missing; install it: https://git-scm.com"
  tool kubectl $LEAST_KUBECTL https://kubernetes.io/docs/tasks/tools/ version --client
  case $CLUSTER in
    kind)
      tool kind $LEAST_KIND \
        https://kind.sigs.k8s.io/docs/user/quick-start/#installation version
      ;;
    minikube)
      tool minikube $LEAST_MINIKUBE \
        https://minikube.sigs.k8s.io/docs/start/ version --short
      ;;
  esac
  if command -v docker >/dev/null; then
    engine
  else
    fault "docker is missing; install it: https://docs.docker.com/engine/install/"
  fi
  sysctl_of fs.inotify.max_user_watches $LEAST_WATCHES
  sysctl_of fs.inotify.max_user_instances $LEAST_INSTANCES
  ((FAULTS == 0)) || exit 2
}

# --- images ---------------------------------------------------------------------------

# Finds the images of this tree that are of KINDS, and whether they are built.
find_images() {
  local all name kind
  command -v tenfold >/dev/null || fail "no tenfold command in .venv; run: make .venv/.run"
  all=$(tenfold images names)
  for name in $all; do
    [[ $name =~ :[0-9a-f]{16}$ ]] || fail "$name has no content tag"
    for kind in $KINDS; do
      [[ $name != *-"$kind":* ]] || IMAGES+=("$name")
    done
  done
  for name in "${IMAGES[@]}"; do
    printing || docker image inspect "$name" >/dev/null 2>&1 ||
      fail "image $name is not built; run: .venv/bin/tenfold images build --images tenfold"
  done
}

load() {
  local name
  for name in "${IMAGES[@]}"; do
    case $CLUSTER in
      kind) run kind load docker-image "$name" --name "$NAME" ;;
      minikube) run minikube image load "$name" --profile "$NAME" ;;
    esac
  done
}

# --- ports ----------------------------------------------------------------------------

is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Holds a service at a port of this machine until it is told to stop. kubectl gives up
# whenever the pod behind the service goes, so it is started again.
hold() {
  local child
  trap 'kill "$child" 2>/dev/null; exit' TERM
  while true; do
    "$@" >/dev/null 2>&1 &
    child=$!
    wait "$child" || sleep 1
  done
}

# Needs: a service, its port, and the port of this machine that leads there.
forward() {
  local command=(kubectl --context "$CONTEXT" --namespace "$NAMESPACE" port-forward
    --address 127.0.0.1 "$1" "$3:$2")
  if printing; then
    printf '%s &\n' "$(show "${command[@]}")"
    return
  fi
  ! is_open "$3" || fail "port $3 is taken; stop what holds it (infra/kind/forward?)"
  hold "${command[@]}" &
  HOLDERS+=($!)
  local second
  for second in {1..30}; do
    ! is_open "$3" || return 0
    sleep 1
  done
  fail "$1 is not reached after $second s; see: kubectl --context $CONTEXT" \
    "--namespace $NAMESPACE get pods"
}

forward_all() {
  trap let_go EXIT
  forward svc/ml-pipeline 8888 $API_PORT
  forward svc/ml-pipeline-ui 80 $UI_PORT
  forward $STORE $STORE_PORT $STORE_PORT
}

let_go() {
  ((${#HOLDERS[@]} == 0)) || kill "${HOLDERS[@]}" 2>/dev/null || true
}

# --- the object store -----------------------------------------------------------------

key() {
  kubectl --context "$CONTEXT" --namespace "$NAMESPACE" get secret "$SECRET" \
    --output "jsonpath={.data.$1}" | base64 --decode
}

# Runs a command with the store's keys in its environment, and nowhere else.
with_store() {
  local endpoint=http://127.0.0.1:$STORE_PORT access secret
  if printing; then
    echo "# with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY out of secret $SECRET:"
    show "AWS_ENDPOINT_URL_S3=$endpoint" "$@"
    return
  fi
  access=$(key accesskey)
  secret=$(key secretkey)
  # A token of the caller's own session would not go with these keys.
  AWS_ACCESS_KEY_ID=$access AWS_SECRET_ACCESS_KEY=$secret AWS_SESSION_TOKEN='' \
    AWS_ENDPOINT_URL_S3=$endpoint "$@"
}
