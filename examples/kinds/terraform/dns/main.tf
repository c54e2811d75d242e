variable "zone" {
  type = string
}

variable "records" {
  type = set(string)
}

resource "terraform_data" "record" {
  for_each = var.records

  input            = "${each.key}.${var.zone}"
  triggers_replace = var.zone
}

output "hosts" {
  value = [for record in terraform_data.record : record.output]
}
