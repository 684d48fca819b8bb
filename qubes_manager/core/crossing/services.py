"""The names of services that our programs ask for or serve: Qubes', so that what is there for Qubes fits here."""

CLIPBOARD_COPY, CLIPBOARD_PASTE = "qubes.ClipboardCopy", "qubes.ClipboardPaste"
CONNECT_TCP = "qubes.ConnectTCP"
FILECOPY = "qubes.Filecopy"
GET_DATE = "qubes.GetDate"
GET_IMAGE = "qubes.GetImageRGBA"
NOTIFICATIONS = "qubes.Notifications"
# Bytes of a notice: its title in the first line, its text in the others.
MAX_NOTICE = 4096
OPEN_IN_VM, OPEN_URL = "qubes.OpenInVM", "qubes.OpenURL"
PDF_CONVERT = "qubes.PdfConvert"
START_APP = "qubes.StartApp"
VM_EXEC, VM_EXEC_GUI, VM_SHELL = "qubes.VMExec", "qubes.VMExecGUI", "qubes.VMShell"
# Those that are there to open a window of whoever serves them.
OPENING = frozenset({OPEN_IN_VM, OPEN_URL, START_APP, VM_EXEC_GUI})
