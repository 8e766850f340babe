variable "project_id" {
  type = string
}

variable "name" {
  description = "Name of the budget."
  type        = string
}

variable "billing_account" {
  type = string
}

variable "amount" {
  description = "Monthly spend in the billing account's currency."
  type        = number
}
