variable "project_id" {
  type = string
}

variable "region" {
  description = "Where the repositories are."
  type        = string
}

variable "name" {
  description = "First part of the identities' names."
  type        = string
}

variable "buckets" {
  description = "Names of the buckets."
  type = object({
    data      = string
    store     = string
    pipelines = string
  })
}

variable "repositories" {
  description = "Names of the repositories."
  type = object({
    images = string
    cache  = string
  })
}

variable "submitters" {
  description = "Who may act as the submitter."
  type        = set(string)
}

variable "github_repository_id" {
  description = "Number of the repository whose CI may act as builder and submitter; null: none."
  type        = string
}

variable "branch" {
  description = "Branch that CI may act from."
  type        = string
}

variable "smoke_run" {
  description = "Whether the builder may do what the submitter may."
  type        = bool
}
