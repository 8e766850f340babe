resource "google_compute_network" "this" {
  #checkov:skip=CKV2_GCP_18:A network of one's own starts without rules and so refuses all that comes in; GKE adds the ones its cluster needs
  project                 = var.project_id
  name                    = var.name
  auto_create_subnetworks = false
}

resource "google_compute_subnetwork" "this" {
  project                  = var.project_id
  region                   = var.region
  name                     = var.name
  network                  = google_compute_network.this.id
  ip_cidr_range            = "10.10.0.0/22"
  private_ip_google_access = true

  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = "10.20.0.0/16"
  }
  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = "10.30.0.0/20"
  }

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

# Nodes have no address of their own; KFP's images come from outside Google.
resource "google_compute_router" "this" {
  project = var.project_id
  region  = var.region
  name    = var.name
  network = google_compute_network.this.id
}

resource "google_compute_router_nat" "this" {
  project                            = var.project_id
  region                             = var.region
  name                               = var.name
  router                             = google_compute_router.this.name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"
}

# Nodes are not the runner: a pod is, if its Kubernetes account says so.
resource "google_service_account" "nodes" {
  project      = var.project_id
  account_id   = "${var.name}-nodes"
  display_name = "Tenfold nodes"
  description  = "The cluster's machines run as this"
}

resource "google_project_iam_member" "nodes" {
  project = var.project_id
  role    = "roles/container.defaultNodeServiceAccount"
  member  = google_service_account.nodes.member
}

resource "google_artifact_registry_repository_iam_member" "nodes" {
  project    = var.project_id
  location   = var.region
  repository = var.images
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.nodes.member
}

resource "google_container_cluster" "this" {
  #checkov:skip=CKV_GCP_12:Dataplane V2 enforces network policies by itself; the check looks for the add-on it replaces
  #checkov:skip=CKV_GCP_20:There is no IP endpoint whose callers could be listed; the DNS endpoint asks IAM
  #checkov:skip=CKV_GCP_65:A group for RBAC belongs to an organisation's directory; access is by IAM roles here
  #checkov:skip=CKV_GCP_66:KFP's own images carry no attestations, so a policy would have to let everything in
  #checkov:skip=CKV_GCP_69:Both pools set it; the one pool without it is removed as the cluster is made
  project             = var.project_id
  location            = var.region
  name                = var.name
  network             = google_compute_network.this.id
  subnetwork          = google_compute_subnetwork.this.id
  networking_mode     = "VPC_NATIVE"
  datapath_provider   = "ADVANCED_DATAPATH"
  deletion_protection = true
  resource_labels     = { app = "tenfold" }

  # A cluster is made with a pool, and pools made beside it can change without it.
  # Provider 8.9 deprecates this pair for a way that earlier 8.x do not know.
  initial_node_count       = 1
  remove_default_node_pool = true

  enable_intranode_visibility = true
  enable_shielded_nodes       = true

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  # kubectl comes in by name, past IAM; the control plane has no address to attack.
  private_cluster_config {
    enable_private_nodes = true
  }
  control_plane_endpoints_config {
    dns_endpoint_config {
      allow_external_traffic = true
    }
    ip_endpoints_config {
      enabled = false
    }
  }

  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  release_channel {
    channel = "REGULAR"
  }

  workload_identity_config {
    workload_pool = "${var.project_id}.svc.id.goog"
  }
}

locals {
  pools = {
    cpu = {
      machine_type = var.cpu_machine_type
      zones        = null
      spot         = false
      first        = 1
      least        = 1
      most         = var.cpu_max_nodes
      gpus         = []
    }
    # Spot, and none of them while nothing trains: a fold that loses its machine goes
    # on from its checkpoint.
    gpu = {
      machine_type = var.gpu_machine_type
      zones        = var.gpu_zones
      spot         = true
      first        = 0
      least        = 0
      most         = var.gpu_max_nodes
      gpus         = [var.gpu_type]
    }
  }
}

resource "google_container_node_pool" "this" {
  for_each   = local.pools
  depends_on = [google_project_iam_member.nodes]

  project            = var.project_id
  location           = var.region
  cluster            = google_container_cluster.this.name
  name               = each.key
  node_locations     = each.value.zones
  initial_node_count = each.value.first

  autoscaling {
    total_min_node_count = each.value.least
    total_max_node_count = each.value.most
    location_policy      = each.value.spot ? "ANY" : "BALANCED"
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  node_config {
    machine_type    = each.value.machine_type
    spot            = each.value.spot
    image_type      = "COS_CONTAINERD"
    disk_size_gb    = 100
    service_account = google_service_account.nodes.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    labels          = { pool = each.key }
    metadata        = { disable-legacy-endpoints = "true" }

    gvnic {
      enabled = true
    }

    shielded_instance_config {
      enable_integrity_monitoring = true
      enable_secure_boot          = true
    }

    # Pods see the metadata server of their own account, never the node's.
    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    dynamic "guest_accelerator" {
      for_each = each.value.gpus
      content {
        type  = guest_accelerator.value
        count = 1
        gpu_driver_installation_config {
          # PyTorch's CUDA 13 needs 580.65.06 or later. The default driver was 535.274.02,
          # the latest above 580.65, in February 2026: github.com/rapidsai/deployment,
          # issue 656 and pull request 659.
          gpu_driver_version = "LATEST"
        }
      }
    }

    # What needs no GPU stays off; tasks with one tolerate this.
    dynamic "taint" {
      for_each = each.value.gpus
      content {
        key    = "nvidia.com/gpu"
        value  = "present"
        effect = "NO_SCHEDULE"
      }
    }
  }
}

# The project has such members once it has a cluster with a workload pool.
resource "google_service_account_iam_member" "pipelines" {
  depends_on = [google_container_cluster.this]

  service_account_id = var.runner.id
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project_id}.svc.id.goog[kubeflow/pipeline-runner]"
}
