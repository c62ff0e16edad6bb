variable "hler" { type = any }

resource "terraform_data" "one" {
  input = var.hler.inputs.text
}

output "said" { value = terraform_data.one.output }
output "password" {
  value     = "kept-to-ourselves"
  sensitive = true
}
