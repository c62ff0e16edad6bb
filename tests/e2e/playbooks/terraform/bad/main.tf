resource "terraform_data" "fails" {
  provisioner "local-exec" { command = "echo this is the reason >&2; exit 4" }
}
