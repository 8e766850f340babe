variable "project_id" {
  type = string
}

variable "services" {
  description = "APIs to switch on."
  type        = set(string)
}

variable "kms_key_name" {
  description = "Key that Google's agents encrypt with; null: none."
  type        = string
}
