package platform

import "net"

// ListenSentence says why an address cannot be listened on.
var ListenSentence = listenSentence

// Profiles serves /debug/pprof on a listener.
var Profiles = serveProfiles

// Listening closes a listener that may be closed already.
func Listening(l net.Listener) net.Listener { return listening{l} }
