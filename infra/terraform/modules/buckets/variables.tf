variable "project_id" {
  type = string
}

variable "region" {
  type = string
}

variable "name" {
  description = "Middle of the buckets' names."
  type        = string
}

variable "kms_key_name" {
  description = "Default key of new objects; null: Google's own."
  type        = string
}
