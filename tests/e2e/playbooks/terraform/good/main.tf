variable "text" { type = string }

resource "terraform_data" "one" {
  input = var.text
}

output "said" { value = terraform_data.one.output }
output "password" {
  value     = "kept-to-ourselves"
  sensitive = true
}
