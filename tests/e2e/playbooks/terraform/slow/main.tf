# Makes one thing, then takes its time with another, which leaves a daemon.
variable "seconds" { type = string }

resource "terraform_data" "first" { input = "made" }

resource "terraform_data" "second" {
  depends_on = [terraform_data.first]
  provisioner "local-exec" {
    command = "setsid env -i sleep ${var.seconds} & echo started; exec sleep ${var.seconds}"
  }
}

output "first" { value = terraform_data.first.output }
