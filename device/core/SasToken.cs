// The password of a connection: a shared access signature.
//
//   SharedAccessSignature sr={resource}&sig={signature}&se={expiry}[&skn={policy}]
//   signature = base64(HMAC-SHA256(key, {resource} + "\n" + {expiry})), percent-encoded; resource percent-encoded too
//
// (facts/iothub.md section 1.3.) One object per identity keeps the decoded key and the encoded resource, so that
// a renewal costs one signature and a few strings. A token is made at the moment of connecting and never kept: a
// stored token is one more thing that can be stale or leak. No method here puts key, signature or token into an
// exception.
using System;
using System.Text;

namespace Agent.Core
{
    /// <summary>Makes tokens for one resource with one key.</summary>
    public sealed class SasToken
    {
        private readonly IHmac hmac;
        private readonly byte[] key;
        private readonly string encodedResource;
        private readonly string encodedPolicy;

        /// <summary>For any resource; <paramref name="policyName"/> is null for a device's own key.</summary>
        public SasToken(IHmac hmac, byte[] key, string resource, string policyName)
        {
            if (hmac == null || key == null || key.Length == 0 || string.IsNullOrEmpty(resource))
            {
                throw new ArgumentException("a token needs a signer, a key and a resource");
            }

            this.hmac = hmac;
            this.key = key;
            encodedResource = PercentEncoder.Encode(resource);
            encodedPolicy = policyName == null ? null : PercentEncoder.Encode(policyName);
        }

        /// <summary>For a device signing with its own key.</summary>
        public static SasToken ForDevice(IHmac hmac, byte[] key, string hostName, string deviceId)
        {
            return new SasToken(hmac, key, string.Concat(hostName, "/devices/", deviceId), null);
        }

        /// <summary>
        /// Decodes a key as the portal shows it (base64). False for text that is empty or not base64; the text itself
        /// goes nowhere.
        /// </summary>
        public static bool TryDecodeKey(string base64, out byte[] key)
        {
            key = null;
            if (string.IsNullOrEmpty(base64))
            {
                return false;
            }

            try
            {
                key = Convert.FromBase64String(base64);
            }
            catch (Exception)
            {
                // Board and PC throw different types here; all of them mean "not base64", which is the answer below.
                key = null;
            }

            return key != null && key.Length > 0;
        }

        /// <summary>
        /// The token that is good until <paramref name="expirySeconds"/> (seconds since 1970, UTC).
        /// </summary>
        public string Build(long expirySeconds)
        {
            string expiry = expirySeconds.ToString();
            byte[] signed = Encoding.UTF8.GetBytes(string.Concat(encodedResource, "\n", expiry));
            string signature = Convert.ToBase64String(hmac.Sign(key, signed));

            StringBuilder token = new StringBuilder(encodedResource.Length + 112);
            token.Append("SharedAccessSignature sr=").Append(encodedResource);
            token.Append("&sig=");
            PercentEncoder.AppendEncoded(token, signature);
            token.Append("&se=").Append(expiry);
            if (encodedPolicy != null)
            {
                token.Append("&skn=").Append(encodedPolicy);
            }

            return token.ToString();
        }
    }
}
