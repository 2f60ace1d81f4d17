"""What nobody outside the array's maker can confirm, decided here and nowhere else.

Element's public documentation, recorded answers and the sources of clients leave gaps. Each constant fills one, with
its reason. Where a real array is found to differ, this is the file to change.

Some decisions are the shape of the code. They are:

* Credentials are looked at before the path (`server`): a stranger learns nothing about versions.
* Parameters and result fields newer than the endpoint's version are there all the same (`params`): Cinder drives 12.x
  through 1.0. Newer methods are not.
* Numbers and "true"/"false" in strings are taken for numbers and booleans (`params`), as documentation and clients
  write them; 0 and 1 are no booleans, numbers no strings.
* User names and ListVolumes' volumeName are compared exactly (`methods.accounts`, `methods.volume_lists`): a client
  that relies on folded case finds nothing here, and notices.
* Names of accounts, access groups, policies and snapshots may have any characters; lengths count characters.
* A running clone is in no list (`methods.volume_lists`), not even by volumeIDs: it was seen missing from the others.
* A new volume that is not active yet is listed, as `init` (`Settings.create_seconds`): the documentation has it active
  when CreateVolume answers, but it knows the state, and Trident and Cinder ask until the volume is in a list.
* Unknown ids in ListVolumes' volumeIDs are left out: a listing is a filter.
* GetVolumeCount and volumeCountMax count the recycle bin: both speak of what the cluster holds.
* A move to another account, and a change between writable and read-only, end the volume's sessions
  (`data.Export.ends_sessions_of`): what GetAccountByID says works is what works. An account whose enableChap is turned
  off loses its sessions like a locked one.
* ListSnapshots refuses an unknown id (`methods.snapshots`): clients cope with either, and an error is what a careless
  one trips over. Snapshots in the recycle bin are listed, since they are kept until the purge.
* Snapshots expire and volumes are purged at the second they are due (`cluster`).
* ListGroupSnapshots by volumes returns groups that hold any of them; a group lives on with fewer members and goes with
  the last one (`methods.groups`, `methods.snapshots`).
"""

from __future__ import annotations

# HTTP. The bodies hold the words that the vendor's SDK looks for.
UNAUTHORIZED_BODY = "<html><head><title>Error 401</title></head><body><p>401 Unauthorized.</p></body></html>"
# Only supported two-part versions are paths: solidfire-csi probes a four-part one and relies on its failure.
NOT_FOUND_BODY = "<html><head><title>Error 404</title></head><body><p>404 Not Found</p></body></html>"
# Nothing but POST is documented.
METHOD_NOT_ALLOWED_BODY = "<html><head><title>Error 405</title></head><body><p>405 Method Not Allowed</p></body></html>"
# No client looks at it; it is what the body is.
CONTENT_TYPE = "application/json"
# What is no JSON object, a batch array too, gets an ordinary error: every client can read one.
MALFORMED_REQUEST = "xInvalidParameter"

# The three names for bad parameters. An independent client knows the first; the second was seen for a bad volume name,
# so it stands for every value out of range; the third was seen for parameters that exclude each other, so it stands for
# states that do not allow a call, too.
WRONG_TYPE = "xInvalidParameterType"
BAD_VALUE = "xInvalidAPIParameter"
BAD_COMBINATION = "xInvalidParameter"

# Recorded secrets hold most kinds of punctuation; quotes, backslashes and the like are left out to spare shells.
SECRET_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789#()*+-.:;<=>@[]^_{}~"

# terraform-provider-solidfire looks for `500:xUnknownAccount` after GetAccountByID; other calls say
# xAccountIDDoesNotExist.
ACCOUNT_BY_ID_MISSING = "xUnknownAccount"
# RemoveAccount with volumes, recycled ones included: the documentation wants them purged.
ACCOUNT_IN_USE = BAD_COMBINATION

# A deleted volume is unknown to every call but restore, purge and the lists. So a second DeleteVolume says
# "Volume N does not exist.", which solidfire-go's idempotent delete and solidfire-csi both understand.
DELETED_IS_UNKNOWN = "xVolumeIDDoesNotExist"
# Purging or restoring a volume that is active.
NOT_DELETED = BAD_COMBINATION
# ModifyVolume with a qosPolicyID alone applies the values without associating the policy: the SDK's text has it so.
MODIFY_ASSOCIATES_BY_DEFAULT = False
# qos together with qosPolicyID.
QOS_TWICE = BAD_COMBINATION
# IOPS out of their limits, or not min <= max <= burst.
BAD_QOS = BAD_VALUE
# Any limit of GetLimits; the text recorded for a full access group has this name.
LIMIT_REACHED = "xExceededLimit"
# From stage 4 on and beyond maxOverProvisionableSpace; the one name that a client looks for.
CLUSTER_FULL = "xTotalCapacityExceeded"
# 1000 bytes of attributes or more.
ATTRIBUTES_TOO_LARGE = BAD_VALUE

# Using a volume whose clone is still running: the name that Cinder and Trident retry on.
CLONE_NOT_READY = "xNotReadyForIO"
# Clones beyond cloneJobsPerVolumeMax are refused, not queued: Cinder and older drivers know this name from somewhere.
TOO_MANY_CLONES = "xMaxClonesPerVolumeExceeded"
# GetAsyncResult names the new volume; clients use the immediate answer's.
ASYNC_RESULT_NAMES_SOURCE = False
# A clone has its source's IOPS, without the policy's association: the documentation speaks of values.
CLONE_INHERITS_POLICY = False
# CancelClone and CancelGroupClone of what is not running.
UNKNOWN_CLONE = BAD_COMBINATION
# A snapshot of another volume.
FOREIGN_SNAPSHOT = BAD_COMBINATION

# Another client's list of names has it; the message holds the words that solidfire-csi needs.
UNKNOWN_SNAPSHOT = "xSnapshotIDDoesNotExist"
# Named like its siblings.
UNKNOWN_GROUP = "xGroupSnapshotIDDoesNotExist"
# One volume is enough for a group snapshot; the documentation shows such groups.
MINIMUM_GROUP = 1
# The snapshot last rolled back to can be deleted, whatever the page says: OpenStack's revert tests do it.
ACTIVE_SNAPSHOT_STAYS = False
# Retention other than HH:mm:ss, or together with expirationTime.
BAD_RETENTION = BAD_VALUE

# Names from independent clients; the messages are made up.
UNKNOWN_POLICY = "xQoSPolicyDoesNotExist"
UNKNOWN_INITIATOR = "xInitiatorDoesNotExist"
DUPLICATE_INITIATOR = "xInitiatorExists"
# A LUN given twice in a group.
DUPLICATE_LUN = BAD_COMBINATION
# Named like their siblings.
UNKNOWN_ADMIN = "xClusterAdminIDDoesNotExist"
DUPLICATE_ADMIN = "xDuplicateUsername"
# What fails below the API: a disk full, a target that could not be made. No name is known.
INTERNAL = "xInternalError"
