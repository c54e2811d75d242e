# command: a thing that a program of yours makes, reads, changes and deletes.
#
# Each is a program with its arguments, started as it is, without a shell between. It gets the inputs as JSON on standard
# input. `read` prints what is there as a JSON object, or exits with 3 when nothing is there.
#
# Give it `undo` only where there is one: without it, what the command did stays when a phase is taken back, and the plan
# says so beforehand.

plan "kind_command" {}

environment "dev" {
  sandbox {}
}

command "note" {
  create = ["${path.root}/bin/note", "write"]
  read   = ["${path.root}/bin/note", "read"]
  update = ["${path.root}/bin/note", "write"]
  delete = ["${path.root}/bin/note", "delete"]
  undo   = ["${path.root}/bin/note", "delete"]

  # Programs and paths are relative to the project, where a program runs unless `working_dir` names another folder.
  environment = {
    NOTE_FILE = "${path.root}/.terrace/note-${env.name}.txt"
    NOTE_TEXT = "Written by terrace for ${env.name}."
  }

  timeouts {
    create = "30s"
    read   = "10s"
  }
}
